#pragma once

// What the .cc files of this folder share behind Images; not for inclusion elsewhere.
#include <condition_variable>
#include <mutex>

#include "image/blobs.h"
#include "image/images.h"
#include "image/manifest.h"
#include "image/messages.h"
#include "image/reference.h"
#include "storage/layer/layers.h"

namespace holdfast::image {

// One layer of an image: its place in the layer store and the blob it came as.
struct ImageLayer {
  ChainId chain;
  DiffId diff;
  Descriptor blob;
};

// An image's durable record, as kept under its id in RecordKind::kImage.
struct ImageRecord {
  ImageId id;
  std::string config_text;  // verbatim: the id is its digest
  std::string config_type;
  std::string manifest;       // digest of the manifest blob
  std::string manifest_type;  // its media type
  std::uint64_t manifest_size = 0;
  bool original = false;           // the manifest came from outside: a push must not change it
  std::vector<ImageLayer> layers;  // lowest first
  std::uint64_t size = 0;          // of the unpacked layers
  ImageId parent;
  Time last_tagged;

  json::Object config;  // of config_text

  std::vector<ChainId> chain() const;
  std::vector<std::string> blobs() const;  // layers, config, manifest
  Time created() const;
};

std::string to_document(const ImageRecord& record);
Result<ImageRecord> parse_image(const Record& record);
HolderId holder_of(const ImageId& id);

// What a finished pull, load, import or commit gives to Impl::add.
struct NewImage {
  ImageRecord record;
  std::vector<Layers::Placement> placements;  // parents first
  std::vector<StagedBlob> blobs;
  std::vector<Reference> references;  // tags and digests to point at it
};

class Operation;

struct Images::Impl {
  Impl(Options wanted, Store& records) : options(std::move(wanted)), store(records) {}

  const Options options;
  Store& store;
  std::unique_ptr<Blobs> blobs;
  std::unique_ptr<Layers> layers;
  std::function<void(const Event&)> listener;

  // Taken before `mutex`, by whoever changes records: keeps the order of commits and of the maps
  // below the same. Readers never wait for it.
  std::mutex writer;
  mutable std::mutex mutex;      // guards everything below; never held over I/O
  std::condition_variable idle;  // an image stopped being removed, a name stopped being pulled
  struct Known {
    ImageRecord record;
    unsigned pins = 0;
    bool removing = false;
  };
  std::map<ImageId, Known> images;
  std::map<std::string, std::pair<Reference, ImageId>> references;  // by Reference::str()
  std::set<std::string> pulling;

  bool may_collect = true;  // false: a record was unreadable at start

  Status load_records();
  Status sweep_staging();

  // Makes an image durable and visible, or adds references to one that exists.
  Status add(NewImage image, Operation& operation);
  // With `writer` and not `mutex` held: records and maps together.
  Status commit_references(const ImageId& id, const std::vector<Reference>& references);

  Result<ImageId> resolve(std::string_view text) const;           // with `mutex` held
  std::vector<Reference> references_of(const ImageId& id) const;  // with `mutex` held
  bool has_children(const ImageId& id) const;                     // with `mutex` held
  Image to_image(const Known& known) const;                       // with `mutex` held

  void emit(std::string action, std::string id, std::string name, const ImageId& image) const;

  Result<std::vector<Removed>> remove(std::string_view text, const RemoveOptions& options,
                                      const Users& users);
  Result<std::vector<Reference>> untag(const std::vector<Reference>& references);
  Status remove_image(const ImageId& id, bool force, bool prune, bool quiet, const Users& users,
                      std::vector<Removed>& removed);
  Status check_conflict(const ImageId& id, bool soft, bool references_count, const Users& users,
                        bool& used) const;
  Status delete_image(const ImageId& id, std::vector<Removed>& removed);
};

// Everything a pull, load, import or commit holds while it runs: a claim on layers and blobs that
// are there already, and a directory in staging. The end lets go of it all; what was added to an
// image by then has that image as holder.
class Operation {
 public:
  static Result<std::unique_ptr<Operation>> start(Images::Impl& images);
  ~Operation();

  const HolderId& holder() const { return holder_; }
  const std::string& directory() const { return directory_; }

 private:
  explicit Operation(Images::Impl& images) : images_(images) {}
  Images::Impl& images_;
  HolderId holder_;
  std::string directory_;
};

// A record for an image with this config, with layers and size still to be filled in.
Result<ImageRecord> record_of(std::string config_text);

}  // namespace holdfast::image
