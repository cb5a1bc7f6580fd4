#include "image/changes.h"
#include "image/images_impl.h"

namespace holdfast::image {
namespace {

// A layer that is new: its tar goes, uncompressed as it will be hashed, into a blob and into the
// layer store at once.
struct FreshLayer {
  StagedLayer layer;
  StagedBlob blob;
};

Result<FreshLayer> take_layer(Images::Impl& images, const archive::Source& source) {
  ASSIGN_OR_RETURN(auto blob, images.blobs->stage());
  auto tee = [&](char* buffer, std::size_t size) -> Result<std::size_t> {
    ASSIGN_OR_RETURN(auto count, source(buffer, size));
    if (count > 0) RETURN_IF_ERROR(blob.write({buffer, count}));
    return count;
  };
  ASSIGN_OR_RETURN(auto layer, images.layers->unpack(tee, DiffId()));
  blob.finish();
  return FreshLayer{std::move(layer), std::move(blob)};
}

// Gives the record its documents: config as made, and a manifest.
Status finish_record(Images::Impl& images, json::Object config, std::vector<ImageLayer> layers,
                     NewImage& image) {
  auto record = record_of(json::serialize(config));
  if (!record) return tl::unexpected(std::move(record).error());
  Manifest manifest;
  manifest.media_type = media::kOciManifest;
  manifest.config = {std::string(media::kOciConfig), record->id.str(), record->config_text.size()};
  for (const auto& layer : layers) manifest.layers.push_back(layer.blob);
  ASSIGN_OR_RETURN(auto manifest_blob, images.blobs->stage(make_manifest(manifest)));
  ASSIGN_OR_RETURN(auto config_blob, images.blobs->stage(record->config_text));
  record->manifest = manifest_blob.digest();
  record->manifest_size = manifest_blob.size();
  record->manifest_type = manifest.media_type;
  record->layers = std::move(layers);
  record->size = image.record.size;
  record->parent = image.record.parent;
  image.blobs.push_back(std::move(manifest_blob));
  image.blobs.push_back(std::move(config_blob));
  image.record = *std::move(record);
  return {};
}

Descriptor descriptor_of(const StagedBlob& blob, const DiffId& diff) {
  // What came compressed keeps its form; skopeo looks at the bytes, not at this.
  std::string type(media::kOciLayer);
  if (blob.digest() != diff.str()) type += "+gzip";
  return {type, blob.digest(), blob.size()};
}

Result<std::vector<Reference>> parse_names(const std::string& text) {
  std::vector<Reference> names;
  if (text.empty()) return names;
  ASSIGN_OR_RETURN(auto reference, Reference::parse(text));
  if (!reference.digest().empty())
    return fail(Code::kInvalidArgument, "cannot import digest reference");
  names.push_back(reference.with_default_tag());
  return names;
}

json::Object history_step(Time created, std::string_view comment, std::string_view author,
                          std::string_view created_by) {
  json::Object step{{"created", to_rfc3339(created)}};
  if (!author.empty()) step["author"] = author;
  if (!created_by.empty()) step["created_by"] = created_by;
  if (!comment.empty()) step["comment"] = comment;
  return step;
}

}  // namespace

Result<ImageId> Images::import(const archive::Source& tar, const ImportRequest& request,
                               const Progress& progress, const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(auto names, parse_names(request.reference));
  json::Object container_config;
  RETURN_IF_ERROR(apply_changes(container_config, request.changes));
  ASSIGN_OR_RETURN(auto operation, Operation::start(*impl_));
  archive::Source checked = [&](char* buffer, std::size_t size) -> Result<std::size_t> {
    RETURN_IF_ERROR(cancellation.check());
    return tar(buffer, size);
  };
  ASSIGN_OR_RETURN(auto fresh, take_layer(*impl_, checked));
  Platform platform = request.platform;
  if (platform.os.empty()) platform.os = host_platform().os;
  if (platform.architecture.empty()) platform.architecture = host_platform().architecture;
  std::string message =
      request.message.empty() ? "Imported from " + request.source_name : request.message;
  Time created = now();
  json::Object config{
      {"architecture", platform.architecture},
      {"comment", message},
      {"config", std::move(container_config)},
      {"created", to_rfc3339(created)},
      {"history", json::Array{history_step(created, message, {}, {})}},
      {"os", platform.os},
      {"rootfs", json::Object{{"diff_ids", json::Array{json::Value(fresh.layer.diff().str())}},
                              {"type", "layers"}}}};
  if (!platform.variant.empty()) config["variant"] = platform.variant;

  NewImage image;
  DiffId diff = fresh.layer.diff();
  image.record.size = fresh.layer.size();
  std::vector<ImageLayer> layers = {{ChainId(diff.str()), diff, descriptor_of(fresh.blob, diff)}};
  image.placements.push_back({ChainId(), std::move(fresh.layer)});
  image.blobs.push_back(std::move(fresh.blob));
  image.references = names;
  RETURN_IF_ERROR(finish_record(*impl_, std::move(config), std::move(layers), image));
  ImageId id = image.record.id;
  RETURN_IF_ERROR(impl_->add(std::move(image), *operation));
  Messages(progress).status(id.str());
  impl_->emit("import", id.str(), names.empty() ? id.str() : names.front().familiar(), id);
  return id;
}

namespace {

// A config for a commit: the parent's, with the container's own over it.
Result<json::Object> committed_config(const ImageRecord& parent, const CommitRequest& request,
                                      const DiffId& diff, Time created) {
  json::Object config = parent.config;
  json::Object container = request.container_config;
  if (container.empty()) container = json::object_or_empty(parent.config, "config");
  RETURN_IF_ERROR(apply_changes(container, request.changes));
  auto command = json::strings_or_empty(container, "Cmd");
  config["config"] = std::move(container);
  config["created"] = to_rfc3339(created);
  config["author"] = request.author;
  config["comment"] = request.comment;
  if (!request.container.empty()) config["container"] = request.container.str();
  auto steps = json::array_or_empty(config, "history");
  steps.push_back(history_step(created, request.comment, request.author,
                               fmt::format("{}", fmt::join(command, " "))));
  config["history"] = std::move(steps);
  auto rootfs = json::object_or_empty(config, "rootfs");
  auto diffs = json::strings_or_empty(rootfs, "diff_ids");
  diffs.push_back(diff.str());
  config["rootfs"] = json::Object{{"type", "layers"}, {"diff_ids", json::from_strings(diffs)}};
  return config;
}

}  // namespace

Result<ImageId> Images::commit(const CommitRequest& request,
                               const std::function<Status(const archive::Sink&)>& write_diff) {
  ASSIGN_OR_RETURN(auto names, parse_names(request.reference));
  ASSIGN_OR_RETURN(auto operation, Operation::start(*impl_));
  ImageRecord parent;
  {
    std::lock_guard lock(impl_->mutex);
    auto known = impl_->images.find(request.parent);
    if (known == impl_->images.end())
      return fail(Code::kNotFound, "No such image: {}", request.parent);
    parent = known->second.record;
    RETURN_IF_ERROR(impl_->layers->hold(operation->holder(), parent.chain()));
    if (!impl_->blobs->hold(operation->holder(), parent.blobs()))
      return fail(Code::kDataLoss, "image {}: a blob is missing", parent.id);
  }
  ASSIGN_OR_RETURN(auto blob, impl_->blobs->stage());
  RETURN_IF_ERROR(write_diff([&](std::string_view bytes) { return blob.write(bytes); }));
  DiffId diff(blob.finish());
  if (::lseek(blob.fd().get(), 0, SEEK_SET) != 0) return fail_errno("seek");
  ASSIGN_OR_RETURN(auto staged, impl_->layers->unpack(archive::read_from(blob.fd()), diff));

  NewImage image;
  image.record.size = parent.size + staged.size();
  image.record.parent = parent.id;
  auto layers = parent.layers;
  auto chain = parent.chain();
  std::vector<DiffId> diffs;
  for (const auto& layer : layers) diffs.push_back(layer.diff);
  diffs.push_back(diff);
  layers.push_back({chain_ids(diffs).back(), diff, descriptor_of(blob, diff)});
  ASSIGN_OR_RETURN(auto config, committed_config(parent, request, diff, now()));
  image.placements.push_back({chain.empty() ? ChainId() : chain.back(), std::move(staged)});
  image.blobs.push_back(std::move(blob));
  image.references = names;
  RETURN_IF_ERROR(finish_record(*impl_, std::move(config), std::move(layers), image));
  ImageId id = image.record.id;
  RETURN_IF_ERROR(impl_->add(std::move(image), *operation));
  for (const auto& name : names) impl_->emit("tag", id.str(), name.familiar(), id);
  return id;
}

}  // namespace holdfast::image
