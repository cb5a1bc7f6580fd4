#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/sha256.h"
#include "base/typed_id.h"
#include "base/unique_fd.h"

namespace holdfast::image {

// A blob being written in staging; removed unless given to Blobs::adopt.
class StagedBlob {
 public:
  StagedBlob(StagedBlob&& other) noexcept;
  StagedBlob& operator=(StagedBlob&& other) noexcept;
  ~StagedBlob();

  Status write(std::string_view bytes);
  // Ends the writing and tells the digest of what was written.
  const std::string& finish();
  const std::string& digest() const { return digest_; }  // empty until finish()
  std::uint64_t size() const { return size_; }
  BorrowedFd fd() const { return fd_; }
  const std::string& path() const { return path_; }

 private:
  friend class Blobs;
  StagedBlob() = default;
  std::string path_;
  UniqueFd fd_;
  std::unique_ptr<Sha256> hash_;
  std::string digest_;
  std::uint64_t size_ = 0;
};

// The content-addressed blobs of images: images/blobs/sha256/<64 digits>, the layout of OCI's
// image-layout.md. Nothing here is synced: whoever makes a record that needs a blob syncs the file
// system first. Who needs a blob is a set of holders, as for layers. Thread-safe.
class Blobs {
 public:
  // `data_root` holds images/ and staging/, which are made.
  static Result<std::unique_ptr<Blobs>> open(const std::string& data_root);

  // "sha256:…" only; others name no file.
  std::string path(const std::string& digest) const;
  bool contains(const std::string& digest) const;
  Result<UniqueFd> read(const std::string& digest) const;
  // A small blob (manifest, config), verified.
  Result<std::string> read_text(const std::string& digest) const;

  Result<StagedBlob> stage();
  Result<StagedBlob> stage(std::string_view bytes);
  // Puts a finished blob in place, held by `holder`; one that is there already is dropped.
  Status adopt(StagedBlob blob, const HolderId& holder);

  // false, and none is held, when one is missing.
  bool hold(const HolderId& holder, const std::vector<std::string>& digests);
  // Ends a holder's claims and removes blobs nobody holds any more. Returns their bytes.
  std::uint64_t release(const HolderId& holder);
  // Once every holder was declared at start: removes blobs nobody holds.
  Status collect();

  const std::string& images_directory() const { return images_; }

 private:
  Blobs() = default;
  std::uint64_t remove(const std::string& digest);

  std::string images_;
  std::string directory_;
  std::string staging_;
  mutable std::mutex mutex_;  // guards holders_ and which files there are
  std::map<std::string, std::set<HolderId>> holders_;
};

}  // namespace holdfast::image
