#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "base/file.h"
#include "image/images_impl.h"
#include "os/safe_path.h"

namespace holdfast::image {
namespace {

constexpr std::size_t kDocumentLimit = 8 << 20;

// What io.containerd.image.name and org.opencontainers.image.ref.name say in an OCI layout.
constexpr std::string_view kFullName = "io.containerd.image.name";
constexpr std::string_view kRefName = "org.opencontainers.image.ref.name";

// One image of an archive, whatever form it had there.
struct Found {
  std::string config_text;
  std::string config_type;
  std::vector<std::string> layer_paths;  // in the archive
  std::vector<Descriptor> layers;        // empty: only the paths are known
  std::string manifest_text;             // empty: it had none
  std::string manifest_type;
  std::vector<Reference> references;
};

// One load: the archive is unpacked into the operation's directory, then its images are taken in
// one after the other.
class Load {
 public:
  Load(Images::Impl& images, const Progress& progress, const Cancellation& cancellation)
      : images_(images), messages_(progress), cancellation_(cancellation) {}

  Status run(const archive::Source& tar) {
    ASSIGN_OR_RETURN(operation_, Operation::start(images_));
    ASSIGN_OR_RETURN(directory_, open_file(operation_->directory(), O_RDONLY | O_DIRECTORY));
    archive::ExtractOptions options;
    options.devices = false;
    options.owner = archive::Owner{::geteuid(), ::getegid()};
    archive::Source checked = [&](char* buffer, std::size_t size) -> Result<std::size_t> {
      RETURN_IF_ERROR(cancellation_.check());
      return tar(buffer, size);
    };
    auto extracted = archive::extract(checked, directory_, {}, options);
    if (!extracted) return tl::unexpected(std::move(extracted).error());
    ASSIGN_OR_RETURN(auto found, find_images());
    for (auto& image : found) RETURN_IF_ERROR(take(std::move(image)));
    return {};
  }

 private:
  // Members may be symlinks to one another in old archives; they stay inside.
  Result<UniqueFd> open_member(const std::string& path) const {
    ASSIGN_OR_RETURN(auto fd, open_confined(directory_, path, Confine::kInRoot,
                                            O_RDONLY | O_NONBLOCK | O_NOCTTY));
    struct stat status = {};
    if (::fstat(fd.get(), &status) != 0) return fail_errno("stat \"{}\"", path);
    if (!S_ISREG(status.st_mode))
      return fail(Code::kInvalidArgument, "invalid archive: \"{}\" is not a file", path);
    return fd;
  }

  Result<std::string> read_member(const std::string& path) const {
    auto fd = open_member(path);
    if (!fd && fd.error().sys_errno == ENOENT)
      return fail(Code::kInvalidArgument, "invalid archive: does not contain a \"{}\"", path);
    if (!fd) return tl::unexpected(std::move(fd).error());
    return read_all(*fd, kDocumentLimit);
  }

  bool has_member(const std::string& path) const { return bool(open_member(path)); }

  static std::string blob_path(const std::string& digest) {
    return "blobs/sha256/" + digest.substr(7);
  }

  Result<std::string> read_blob(const Descriptor& descriptor) const {
    ASSIGN_OR_RETURN(auto text, read_member(blob_path(descriptor.digest)));
    if ("sha256:" + sha256_hex(text) != descriptor.digest)
      return fail(Code::kDataLoss, "blob {} of the archive is damaged", descriptor.digest);
    return text;
  }

  // Both forms may be there (docker 25 and later, and our own save): the OCI one has the manifests
  // as they were in the registry, and so is preferred where it is whole.
  Result<std::vector<Found>> find_images() {
    bool oci = has_member("index.json");
    bool docker = has_member("manifest.json");
    if (!oci && !docker) {
      return fail(Code::kInvalidArgument, "invalid archive: does not contain a \"manifest.json\"");
    }
    if (!oci) return find_docker();
    auto found = find_oci();
    if (found || !docker) return found;
    return find_docker();
  }

  // image-spec's image-layout.md.
  Result<std::vector<Found>> find_oci() const {
    ASSIGN_OR_RETURN(auto text, read_member("index.json"));
    ASSIGN_OR_RETURN(auto document, json::parse_object(text));
    ASSIGN_OR_RETURN(auto index, parse_index(document));
    std::vector<Found> found;
    for (const auto& item : index.items) {
      ASSIGN_OR_RETURN(auto names, names_of(item));
      RETURN_IF_ERROR(find_oci_item(item, names, found));
    }
    return found;
  }

  static Result<std::vector<Reference>> names_of(const Index::Item& item) {
    std::vector<Reference> names;
    auto full = item.annotations.find(std::string(kFullName));
    auto ref = item.annotations.find(std::string(kRefName));
    std::string text = full != item.annotations.end()  ? full->second
                       : ref != item.annotations.end() ? ref->second
                                                       : "";
    // A bare tag ("latest"), as skopeo writes without a name, names no repository.
    if (text.empty() || (full == item.annotations.end() && text.find(':') == text.npos &&
                         text.find('/') == text.npos))
      return names;
    ASSIGN_OR_RETURN(auto reference, Reference::parse(text));
    if (reference.digest().empty()) names.push_back(reference.with_default_tag());
    return names;
  }

  Status find_oci_item(const Index::Item& item, const std::vector<Reference>& names,
                       std::vector<Found>& found) const {
    ASSIGN_OR_RETURN(auto text, read_blob(item.descriptor));
    ASSIGN_OR_RETURN(auto document, json::parse_object(text));
    ASSIGN_OR_RETURN(bool list, is_index(document));
    if (list) {
      ASSIGN_OR_RETURN(auto index, parse_index(document));
      ASSIGN_OR_RETURN(auto chosen, choose(index, host_platform()));
      ASSIGN_OR_RETURN(text, read_blob(chosen.descriptor));
      ASSIGN_OR_RETURN(document, json::parse_object(text));
    }
    ASSIGN_OR_RETURN(auto manifest, parse_manifest(document));
    Found image;
    ASSIGN_OR_RETURN(image.config_text, read_blob(manifest.config));
    image.config_type = manifest.config.media_type;
    image.layers = manifest.layers;
    for (const auto& layer : manifest.layers) {
      if (!has_member(blob_path(layer.digest)))
        return fail(Code::kInvalidArgument, "invalid archive: blob {} is missing", layer.digest);
      image.layer_paths.push_back(blob_path(layer.digest));
    }
    image.manifest_text = std::move(text);
    image.manifest_type = manifest.media_type;
    image.references = names;
    found.push_back(std::move(image));
    return {};
  }

  // moby's image/spec/v1.2.md: manifest.json names config, layers and tags.
  Result<std::vector<Found>> find_docker() const {
    ASSIGN_OR_RETURN(auto text, read_member("manifest.json"));
    ASSIGN_OR_RETURN(auto document, json::parse(text));
    if (!document.is_array()) return fail(Code::kInvalidArgument, "invalid manifest.json");
    std::vector<Found> found;
    for (const auto& value : document.get_array()) {
      if (!value.is_object()) return fail(Code::kInvalidArgument, "invalid manifest.json");
      const auto& object = value.get_object();
      Found image;
      ASSIGN_OR_RETURN(auto config, json::get_string(object, "Config"));
      ASSIGN_OR_RETURN(image.config_text, read_member(config));
      image.config_type = media::kDockerConfig;
      ASSIGN_OR_RETURN(image.layer_paths, json::get_strings(object, "Layers"));
      ASSIGN_OR_RETURN(auto tags, json::get_strings(object, "RepoTags"));
      for (const auto& tag : tags) {
        ASSIGN_OR_RETURN(auto reference, Reference::parse(tag));
        image.references.push_back(reference.with_default_tag());
      }
      found.push_back(std::move(image));
    }
    return found;
  }

  Status take(Found found) {
    ASSIGN_OR_RETURN(auto record, record_of(found.config_text));
    record.config_type = found.config_type;
    ASSIGN_OR_RETURN(auto diffs, diff_ids(record.config));
    if (diffs.size() != found.layer_paths.size()) {
      return fail(Code::kInvalidArgument,
                  "invalid manifest, layers length mismatch: expected {}, "
                  "got {}",
                  diffs.size(), found.layer_paths.size());
    }
    NewImage image;
    auto chain = chain_ids(diffs);
    for (std::size_t i = 0; i < diffs.size(); ++i) {
      RETURN_IF_ERROR(cancellation_.check());
      ImageLayer layer{chain[i], diffs[i], {}};
      if (!found.layers.empty()) layer.blob = found.layers[i];
      ChainId parent = i == 0 ? ChainId() : chain[i - 1];
      RETURN_IF_ERROR(take_layer(found.layer_paths[i], parent, layer, record.size, image));
      record.layers.push_back(std::move(layer));
    }
    RETURN_IF_ERROR(add_documents(found, record, image));
    image.references = found.references;
    ImageId id = record.id;
    image.record = std::move(record);
    RETURN_IF_ERROR(images_.add(std::move(image), *operation_));
    if (found.references.empty()) messages_.stream("Loaded image ID: " + id.str() + "\n");
    for (const auto& reference : found.references)
      messages_.stream("Loaded image: " + reference.familiar() + "\n");
    images_.emit("load", id.str(), id.str(), id);
    return {};
  }

  // The manifest as it came, or one made for an archive that had none.
  Status add_documents(const Found& found, ImageRecord& record, NewImage& image) {
    std::string text = found.manifest_text;
    record.manifest_type = found.manifest_type;
    record.original = !text.empty();
    if (text.empty()) {
      Manifest manifest;
      manifest.media_type = record.manifest_type = media::kOciManifest;
      manifest.config = {std::string(media::kOciConfig), record.id.str(),
                         record.config_text.size()};
      for (const auto& layer : record.layers) manifest.layers.push_back(layer.blob);
      text = make_manifest(manifest);
    }
    ASSIGN_OR_RETURN(auto manifest, images_.blobs->stage(text));
    ASSIGN_OR_RETURN(auto config, images_.blobs->stage(record.config_text));
    record.manifest = manifest.digest();
    record.manifest_size = manifest.size();
    image.blobs.push_back(std::move(manifest));
    image.blobs.push_back(std::move(config));
    return {};
  }

  Status take_layer(const std::string& path, const ChainId& parent, ImageLayer& layer,
                    std::uint64_t& image_size, NewImage& image) {
    ASSIGN_OR_RETURN(auto fd, open_member(path));
    struct stat status = {};
    if (::fstat(fd.get(), &status) != 0) return fail_errno("stat \"{}\"", path);
    ASSIGN_OR_RETURN(auto blob, images_.blobs->stage());
    auto total = static_cast<std::uint64_t>(status.st_size);
    std::string shown = short_id(layer.diff.str());
    archive::Source tee = tee_into(fd, blob, shown, total);
    bool have = bool(images_.layers->hold(operation_->holder(), {layer.chain}));
    if (have) {
      RETURN_IF_ERROR(verify(tee, layer));
      image_size += images_.layers->find(layer.chain)->size;
    } else {
      ASSIGN_OR_RETURN(auto staged, images_.layers->unpack(tee, layer.diff));
      image_size += staged.size();
      image.placements.push_back({parent, std::move(staged)});
    }
    RETURN_IF_ERROR(drain(tee));
    if (!layer.blob.digest.empty() && blob.finish() != layer.blob.digest) {
      return fail(Code::kDataLoss, "filesystem layer verification failed for digest {}",
                  layer.blob.digest);
    }
    if (layer.blob.digest.empty()) {
      bool plain = blob.finish() == layer.diff.str();
      layer.blob = {std::string(media::kOciLayer) + (plain ? "" : compression_of(fd)),
                    blob.finish(), blob.size()};
    }
    image.blobs.push_back(std::move(blob));
    return {};
  }

  archive::Source tee_into(BorrowedFd fd, StagedBlob& blob, const std::string& shown,
                           std::uint64_t total) {
    return [this, read = archive::read_from(fd), &blob, shown, total, told = std::uint64_t{0}](
               char* buffer, std::size_t size) mutable -> Result<std::size_t> {
      RETURN_IF_ERROR(cancellation_.check());
      ASSIGN_OR_RETURN(auto count, read(buffer, size));
      if (count > 0) RETURN_IF_ERROR(blob.write({buffer, count}));
      if (blob.size() - told >= total / 50 + 1 || (count > 0 && blob.size() == total)) {
        told = blob.size();
        messages_.progress("Loading layer", shown, blob.size(), total);
      }
      return count;
    };
  }

  Status verify(const archive::Source& source, const ImageLayer& layer) {
    ASSIGN_OR_RETURN(auto inflated, archive::inflate(source, nullptr));
    if (inflated.diff_id == layer.diff.str()) return {};
    return fail(Code::kDataLoss,
                "layers from manifest don't match image configuration: layer {} "
                "unpacks to {}",
                layer.diff, inflated.diff_id);
  }

  // What follows the compressed stream still is part of the blob.
  static Status drain(const archive::Source& source) {
    std::vector<char> buffer(64 << 10);
    while (true) {
      ASSIGN_OR_RETURN(auto count, source(buffer.data(), buffer.size()));
      if (count == 0) return {};
    }
  }

  static std::string compression_of(BorrowedFd fd) {
    unsigned char head[2] = {};
    if (::pread(fd.get(), head, sizeof head, 0) != sizeof head) return "";
    if (head[0] == 0x1f && head[1] == 0x8b) return "+gzip";
    if (head[0] == 0x28 && head[1] == 0xb5) return "+zstd";
    return "";
  }

  Images::Impl& images_;
  Messages messages_;
  const Cancellation& cancellation_;
  std::unique_ptr<Operation> operation_;
  UniqueFd directory_;
};

}  // namespace

Status Images::load(const archive::Source& tar, const Progress& progress,
                    const Cancellation& cancellation) {
  return Load(*impl_, progress, cancellation).run(tar);
}

}  // namespace holdfast::image
