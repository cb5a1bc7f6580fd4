#include "image/blobs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/file.h"
#include "base/random.h"
#include "image/reference.h"

namespace holdfast::image {

StagedBlob::StagedBlob(StagedBlob&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      fd_(std::move(other.fd_)),
      hash_(std::move(other.hash_)),
      digest_(std::move(other.digest_)),
      size_(other.size_) {}

StagedBlob& StagedBlob::operator=(StagedBlob&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(hash_, other.hash_);
  std::swap(digest_, other.digest_);
  std::swap(size_, other.size_);
  return *this;
}

StagedBlob::~StagedBlob() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

Status StagedBlob::write(std::string_view bytes) {
  hash_->update(bytes);
  size_ += bytes.size();
  return write_all(fd_, bytes);
}

const std::string& StagedBlob::finish() {
  if (digest_.empty()) digest_ = "sha256:" + hash_->finish();
  return digest_;
}

Result<std::unique_ptr<Blobs>> Blobs::open(const std::string& data_root) {
  std::unique_ptr<Blobs> blobs(new Blobs());
  blobs->images_ = data_root + "/images";
  blobs->directory_ = blobs->images_ + "/blobs/sha256";
  blobs->staging_ = data_root + "/staging";
  RETURN_IF_ERROR(make_directories(blobs->directory_, 0700));
  RETURN_IF_ERROR(make_directories(blobs->staging_, 0700));
  std::string layout = blobs->images_ + "/oci-layout";
  if (!file_exists(layout))
    RETURN_IF_ERROR(write_file_atomic(layout, R"({"imageLayoutVersion":"1.0.0"})", 0600, false));
  return blobs;
}

std::string Blobs::path(const std::string& digest) const {
  CHECK(valid_digest(digest));
  return directory_ + "/" + digest.substr(7);
}

bool Blobs::contains(const std::string& digest) const {
  return valid_digest(digest) && file_exists(path(digest));
}

Result<UniqueFd> Blobs::read(const std::string& digest) const {
  if (!valid_digest(digest)) return fail(Code::kInvalidArgument, "invalid digest \"{}\"", digest);
  return open_file(path(digest), O_RDONLY);
}

Result<std::string> Blobs::read_text(const std::string& digest) const {
  ASSIGN_OR_RETURN(auto fd, read(digest));
  ASSIGN_OR_RETURN(auto text, read_all(fd));
  if ("sha256:" + sha256_hex(text) != digest)
    return fail(Code::kDataLoss, "blob {} is damaged", digest);
  return text;
}

Result<StagedBlob> Blobs::stage() {
  StagedBlob blob;
  std::string path = fmt::format("{}/image-{}", staging_, random_hex(16));
  ASSIGN_OR_RETURN(blob.fd_, open_file(path, O_RDWR | O_CREAT | O_EXCL, 0600));
  blob.path_ = std::move(path);
  blob.hash_ = std::make_unique<Sha256>();
  return blob;
}

Result<StagedBlob> Blobs::stage(std::string_view bytes) {
  ASSIGN_OR_RETURN(auto blob, stage());
  RETURN_IF_ERROR(blob.write(bytes));
  blob.finish();
  return blob;
}

Status Blobs::adopt(StagedBlob blob, const HolderId& holder) {
  std::string digest = blob.finish();
  std::lock_guard lock(mutex_);
  if (!contains(digest)) {
    if (::rename(blob.path_.c_str(), path(digest).c_str()) != 0)
      return fail_errno("rename \"{}\" to \"{}\"", blob.path_, path(digest));
    blob.path_.clear();
  }
  holders_[digest].insert(holder);
  return {};
}

bool Blobs::hold(const HolderId& holder, const std::vector<std::string>& digests) {
  std::lock_guard lock(mutex_);
  for (const auto& digest : digests) {
    if (!contains(digest)) return false;
  }
  for (const auto& digest : digests) holders_[digest].insert(holder);
  return true;
}

std::uint64_t Blobs::remove(const std::string& digest) {
  struct stat status = {};
  std::string file = path(digest);
  if (::stat(file.c_str(), &status) != 0 || ::unlink(file.c_str()) != 0) return 0;
  return static_cast<std::uint64_t>(status.st_size);
}

std::uint64_t Blobs::release(const HolderId& holder) {
  std::lock_guard lock(mutex_);
  std::uint64_t freed = 0;
  for (auto blob = holders_.begin(); blob != holders_.end();) {
    if (blob->second.erase(holder) > 0 && blob->second.empty()) {
      freed += remove(blob->first);
      blob = holders_.erase(blob);
    } else {
      ++blob;
    }
  }
  return freed;
}

Status Blobs::collect() {
  DIR* stream = ::opendir(directory_.c_str());
  if (!stream) return fail_errno("list \"{}\"", directory_);
  std::lock_guard lock(mutex_);
  std::vector<std::string> unheld;
  while (const struct dirent* entry = ::readdir(stream)) {
    std::string name = entry->d_name;
    if (name != "." && name != ".." && !holders_.contains("sha256:" + name))
      unheld.push_back(directory_ + "/" + name);
  }
  ::closedir(stream);
  for (const auto& path : unheld) RETURN_IF_ERROR(remove_file(path));
  return {};
}

}  // namespace holdfast::image
