#include <fcntl.h>

#include "base/file.h"
#include "image/images_impl.h"
#include "image/registry.h"

namespace holdfast::image {
namespace {

// The digest in a line of skopeo's such as "Copying blob sha256:… skipped: already exists".
std::string digest_in(std::string_view line) {
  auto at = line.find("sha256:");
  return at == std::string_view::npos ? std::string() : std::string(line.substr(at, 71));
}

Status push_one(Images::Impl& images, const Reference& reference, const ImageId& id,
                const Credentials& credentials, Messages& messages,
                const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(auto operation, Operation::start(images));
  ImageRecord record;
  {
    std::lock_guard lock(images.mutex);
    auto known = images.images.find(id);
    if (known == images.images.end())
      return fail(Code::kNotFound, "No such image: {}", reference.familiar());
    record = known->second.record;
    if (!images.blobs->hold(operation->holder(), record.blobs()))
      return fail(Code::kDataLoss, "image {}: a blob is missing", id);
  }
  // A layout of its own that names just this image and shares the blobs.
  const std::string& layout = operation->directory();
  auto descriptor = to_json({record.manifest_type, record.manifest, record.manifest_size});
  descriptor["annotations"] = json::Object{{"org.opencontainers.image.ref.name", "image"}};
  RETURN_IF_ERROR(write_file_atomic(
      layout + "/index.json",
      json::serialize(
          json::Object{{"schemaVersion", 2}, {"manifests", json::Array{std::move(descriptor)}}}),
      0600, false));
  RETURN_IF_ERROR(
      write_file_atomic(layout + "/oci-layout", R"({"imageLayoutVersion":"1.0.0"})", 0600, false));
  std::map<std::string, std::string> shown;  // blob to the layer id clients see
  for (const auto& layer : record.layers) {
    shown[layer.blob.digest] = short_id(layer.diff.str());
    messages.status("Preparing", shown[layer.blob.digest]);
  }
  ASSIGN_OR_RETURN(auto registry,
                   Registry::connect(images.options, reference, credentials, cancellation));
  std::set<std::string> there;
  auto line = [&](std::string_view text) {
    auto layer = shown.find(digest_in(text));
    if (layer == shown.end() || !text.starts_with("Copying blob")) return;
    bool exists = text.find("already exists") != std::string_view::npos;
    if (exists) there.insert(layer->first);
    messages.status(exists ? "Layer already exists" : "Pushing", layer->second);
  };
  ASSIGN_OR_RETURN(auto pushed,
                   registry.push(layout, "image", images.blobs->images_directory() + "/blobs",
                                 reference, record.original, line));
  for (const auto& layer : record.layers) {
    if (!there.contains(layer.blob.digest)) messages.status("Pushed", shown[layer.blob.digest]);
  }
  ASSIGN_OR_RETURN(auto manifest, registry.manifest(reference.with_digest(pushed.digest)));
  {
    std::lock_guard writing(images.writer);
    (void)images.commit_references(id, {reference.with_digest(pushed.digest)});
  }
  messages.status(
      fmt::format("{}: digest: {} size: {}", reference.tag(), pushed.digest, manifest.size()));
  messages.aux({{"Tag", reference.tag()}, {"Digest", pushed.digest}, {"Size", manifest.size()}});
  images.emit("push", reference.familiar(), reference.familiar_name(), id);
  return {};
}

}  // namespace

Status Images::push(std::string_view text, const Credentials& credentials, const Progress& progress,
                    const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(auto parsed, Reference::parse(text));
  if (!parsed.digest().empty())
    return fail(Code::kInvalidArgument, "cannot push a digest reference");
  std::vector<std::pair<Reference, ImageId>> wanted;
  bool known = false;  // under any tag
  {
    std::lock_guard lock(impl_->mutex);
    for (const auto& [key, named] : impl_->references) {
      const auto& reference = named.first;
      if (reference.name() != parsed.name() || !reference.digest().empty()) continue;
      known = true;
      if (parsed.tag().empty() || parsed.tag() == reference.tag()) wanted.push_back(named);
    }
  }
  Messages messages(progress);
  if (wanted.empty() && known) {
    return fail(Code::kNotFound, "tag does not exist: {}", parsed.familiar());
  }
  if (wanted.empty()) {
    return fail(Code::kNotFound, "An image does not exist locally with the tag: {}",
                parsed.familiar_name());
  }
  messages.status(fmt::format("The push refers to repository [{}]", parsed.name()));
  for (const auto& [reference, id] : wanted)
    RETURN_IF_ERROR(push_one(*impl_, reference, id, credentials, messages, cancellation));
  return {};
}

}  // namespace holdfast::image
