#include "image/images_impl.h"

namespace holdfast::image {

std::vector<ChainId> ImageRecord::chain() const {
  std::vector<ChainId> ids;
  for (const auto& layer : layers) ids.push_back(layer.chain);
  return ids;
}

std::vector<std::string> ImageRecord::blobs() const {
  std::vector<std::string> digests = {id.str()};
  if (!manifest.empty()) digests.push_back(manifest);
  for (const auto& layer : layers) digests.push_back(layer.blob.digest);
  return digests;
}

Time ImageRecord::created() const {
  return parse_rfc3339(json::string_or(config, "created")).value_or(Time());
}

std::string to_document(const ImageRecord& record) {
  json::Array layers;
  for (const auto& layer : record.layers) {
    layers.push_back(json::Object{{"chain_id", layer.chain.str()},
                                  {"diff_id", layer.diff.str()},
                                  {"blob", to_json(layer.blob)}});
  }
  return json::serialize(json::Object{
      {"config", record.config_text},
      {"config_type", record.config_type},
      {"manifest", to_json({record.manifest_type, record.manifest, record.manifest_size})},
      {"original", record.original},
      {"layers", std::move(layers)},
      {"size", record.size},
      {"parent", record.parent.str()},
      {"last_tagged", to_rfc3339(record.last_tagged)}});
}

Result<ImageRecord> parse_image(const Record& stored) {
  ASSIGN_OR_RETURN(auto document, json::parse_object(stored.document));
  ASSIGN_OR_RETURN(auto record, record_of(json::string_or(document, "config")));
  if (record.id.str() != stored.key)
    return fail(Code::kDataLoss, "image configuration is not that of {}", stored.key);
  record.config_type = json::string_or(document, "config_type");
  const auto& manifest = json::object_or_empty(document, "manifest");
  record.manifest = json::string_or(manifest, "digest");
  record.manifest_type = json::string_or(manifest, "mediaType");
  record.manifest_size = static_cast<std::uint64_t>(json::int_or(manifest, "size"));
  record.original = json::bool_or(document, "original");
  for (const auto& value : json::array_or_empty(document, "layers")) {
    if (!value.is_object()) return fail(Code::kDataLoss, "malformed layer");
    const auto& object = value.get_object();
    ImageLayer layer;
    layer.chain = ChainId(json::string_or(object, "chain_id"));
    layer.diff = DiffId(json::string_or(object, "diff_id"));
    ASSIGN_OR_RETURN(layer.blob, parse_descriptor(json::object_or_empty(object, "blob")));
    record.layers.push_back(std::move(layer));
  }
  record.size = static_cast<std::uint64_t>(json::int_or(document, "size"));
  record.parent = ImageId(json::string_or(document, "parent"));
  record.last_tagged = parse_rfc3339(json::string_or(document, "last_tagged")).value_or(Time());
  return record;
}

Result<ImageRecord> record_of(std::string config_text) {
  ImageRecord record;
  auto config = json::parse_object(config_text);
  if (!config) return tl::unexpected(std::move(config).error().wrap("invalid image configuration"));
  record.config = *std::move(config);
  record.id = ImageId("sha256:" + sha256_hex(config_text));
  record.config_text = std::move(config_text);
  record.config_type = media::kOciConfig;
  return record;
}

HolderId holder_of(const ImageId& id) { return HolderId(id.str()); }

}  // namespace holdfast::image
