#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/typed_id.h"
#include "state/store.h"
#include "storage/archive/extract.h"

namespace holdfast {

using ChainId = TypedId<struct ChainIdTag>;  // "sha256:" and 64 hexadecimal digits
using DiffId = TypedId<struct DiffIdTag>;    // the same, of one layer's uncompressed tar

// The chain id of each prefix of a list of layers, lowest first (OCI image spec, config.md,
// "Layer ChainID").
std::vector<ChainId> chain_ids(const std::vector<DiffId>& layers);

struct Layer {
  ChainId id;
  ChainId parent;  // empty: the lowest
  DiffId diff;
  std::uint64_t size = 0;  // apparent bytes of its files, as Docker counts them
};

// A layer unpacked into staging and not yet part of the store; removed with what is in it unless
// given to Layers::place.
class StagedLayer {
 public:
  StagedLayer(StagedLayer&&) noexcept = default;
  StagedLayer& operator=(StagedLayer&&) noexcept;
  ~StagedLayer();

  const DiffId& diff() const { return diff_; }
  std::uint64_t size() const { return size_; }

 private:
  friend class Layers;
  StagedLayer() = default;
  std::string path_;
  DiffId diff_;
  std::uint64_t size_ = 0;
  std::vector<std::string> implied_directories_;
};

// The unpacked layers of images: layers/<64 digits of the chain id>/ are overlayfs lower
// directories, shared by all images that have the same layers below. A layer counts once its record
// is committed, which is after its files are on disk; directories without a record are removed at
// open. Who needs a layer is a set of holders (image ids), rebuilt by the image store at start.
// Owned by the image store; thread-safe.
class Layers {
 public:
  // `data_root` holds layers/ and staging/, which are made.
  static Result<std::unique_ptr<Layers>> open(const std::string& data_root, Store& store);
  ~Layers();

  std::optional<Layer> find(const ChainId& id) const;

  // The lower directory of a layer.
  std::string path(const ChainId& id) const;

  // Unpacks a layer's blob into staging; layers may be unpacked side by side and in any order.
  // kDataLoss when the uncompressed tar is not the one `diff` names, with Docker's words.
  Result<StagedLayer> unpack(const archive::Source& blob, const DiffId& diff,
                             const archive::ExtractOptions& options = {});

  // A staged layer and the place it goes to.
  struct Placement {
    ChainId parent;
    StagedLayer layer;
  };
  // Puts layers in place for `holder`, parents first, and adds their records to `batch`, which the
  // caller commits. Before the renames everything on the file system is synced, so whatever else
  // the caller wrote there counts as synced too. A layer that is there already is dropped. When
  // this or the commit fails the caller releases `holder`.
  Result<std::vector<ChainId>> place(std::vector<Placement> layers, const HolderId& holder,
                                     Batch& batch);

  // `holder` keeps these layers until release(). kNotFound, and none is held, when one is missing.
  // With `batch` their records are added to it: whoever placed them may still fail to commit.
  Status hold(const HolderId& holder, const std::vector<ChainId>& layers, Batch* batch = nullptr);

  // Ends a holder's claims. Layers nobody else holds are gone from then on, for everybody: their
  // records are added to `batch` to be erased; the caller commits it and gives the layers to
  // discard(), which removes their directories, or after a failed commit to restore().
  std::vector<ChainId> release(const HolderId& holder, Batch& batch);
  void discard(const std::vector<ChainId>& layers);
  void restore(const HolderId& holder, const std::vector<ChainId>& layers);

  // To be called once after every holder was declared at start: layers nobody holds are removed.
  Status collect();

  // How many bytes of all layers; how many holders a layer has.
  std::uint64_t total_size() const;
  std::size_t holders(const ChainId& id) const;

 private:
  struct Impl;
  explicit Layers(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast
