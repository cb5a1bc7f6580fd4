#include <sys/stat.h>

#include <set>

#include "image/images_impl.h"
#include "storage/archive/create.h"

namespace holdfast::image {
namespace {

constexpr std::int64_t kNoTime = 0;  // so that saving twice gives the same bytes

std::string member_of(const std::string& digest) { return "blobs/sha256/" + digest.substr(7); }

// One image of a save and the tags that were asked for.
struct Saved {
  ImageRecord record;
  std::vector<Reference> tags;
};

// Writes an archive that is a docker-archive and an OCI layout in one, as docker 25 and later do;
// blobs go out as they came in, so that digests are the same on the other side.
class Save {
 public:
  Save(Images::Impl& images, const archive::Sink& sink, const Cancellation& cancellation)
      : images_(images), cancellation_(cancellation), writer_(sink) {}

  Status run(const std::vector<std::string>& names) {
    ASSIGN_OR_RETURN(operation_, Operation::start(images_));
    for (const auto& name : names) RETURN_IF_ERROR(select(name));
    RETURN_IF_ERROR(writer_.directory("blobs", 0755, kNoTime));
    RETURN_IF_ERROR(writer_.directory("blobs/sha256", 0755, kNoTime));
    for (const auto& saved : saved_) {
      for (const auto& digest : saved.record.blobs()) RETURN_IF_ERROR(write_blob(digest));
    }
    RETURN_IF_ERROR(writer_.file("index.json", index_json(), kNoTime));
    RETURN_IF_ERROR(writer_.file("manifest.json", manifest_json(), kNoTime));
    RETURN_IF_ERROR(writer_.file("oci-layout", R"({"imageLayoutVersion":"1.0.0"})", kNoTime));
    RETURN_IF_ERROR(writer_.file("repositories", repositories_json(), kNoTime));
    RETURN_IF_ERROR(writer_.finish());
    for (const auto& saved : saved_) {
      const auto& id = saved.record.id;
      images_.emit("save", id.str(), id.str(), id);
    }
    return {};
  }

 private:
  Status select(const std::string& name) {
    std::lock_guard lock(images_.mutex);
    ASSIGN_OR_RETURN(auto id, images_.resolve(name));
    Saved* saved = nullptr;
    for (auto& known : saved_) {
      if (known.record.id == id) saved = &known;
    }
    if (!saved) {
      saved_.push_back({images_.images.at(id).record, {}});
      saved = &saved_.back();
      if (!images_.blobs->hold(operation_->holder(), saved->record.blobs()))
        return fail(Code::kDataLoss, "image {}: a blob is missing", id);
    }
    // A tag goes along when it was named, and all of them when the repository was.
    auto asked = Reference::parse(name);
    if (!asked) return {};
    for (const auto& reference : images_.references_of(id)) {
      if (reference.digest().empty() && reference.str() == asked->with_default_tag().str())
        saved->tags.push_back(reference);
    }
    return {};
  }

  Status write_blob(const std::string& digest) {
    if (!written_.insert(digest).second) return {};
    RETURN_IF_ERROR(cancellation_.check());
    ASSIGN_OR_RETURN(auto fd, images_.blobs->read(digest));
    struct stat status = {};
    if (::fstat(fd.get(), &status) != 0) return fail_errno("stat blob {}", digest);
    archive::Source source = [&, read = archive::read_from(fd)](
                                 char* buffer, std::size_t size) -> Result<std::size_t> {
      RETURN_IF_ERROR(cancellation_.check());
      return read(buffer, size);
    };
    return writer_.file(member_of(digest), static_cast<std::uint64_t>(status.st_size), source,
                        kNoTime);
  }

  std::string index_json() const {
    json::Array manifests;
    for (const auto& saved : saved_) {
      const auto& record = saved.record;
      auto descriptor = to_json({record.manifest_type, record.manifest, record.manifest_size});
      if (saved.tags.empty()) manifests.push_back(descriptor);
      for (const auto& tag : saved.tags) {
        auto named = descriptor;
        named["annotations"] = json::Object{{"io.containerd.image.name", tag.str()},
                                            {"org.opencontainers.image.ref.name", tag.tag()}};
        manifests.push_back(std::move(named));
      }
    }
    return json::serialize(json::Object{{"schemaVersion", 2},
                                        {"mediaType", media::kOciIndex},
                                        {"manifests", std::move(manifests)}});
  }

  std::string manifest_json() const {
    json::Array images;
    for (const auto& saved : saved_) {
      json::Array layers;
      json::Object sources;
      json::Value tags = nullptr;
      for (const auto& layer : saved.record.layers) {
        layers.emplace_back(member_of(layer.blob.digest));
        sources[layer.diff.str()] = to_json(layer.blob);
      }
      if (!saved.tags.empty()) tags = json::Array();
      for (const auto& tag : saved.tags) tags.get_array().emplace_back(tag.familiar());
      images.push_back(json::Object{{"Config", member_of(saved.record.id.str())},
                                    {"RepoTags", std::move(tags)},
                                    {"Layers", std::move(layers)},
                                    {"LayerSources", std::move(sources)}});
    }
    return json::serialize(images);
  }

  std::string repositories_json() const {
    json::Object repositories;
    for (const auto& saved : saved_) {
      for (const auto& tag : saved.tags) {
        auto& names = repositories[tag.familiar_name()];
        if (!names.is_object()) names = json::Object();
        std::string top = saved.record.layers.empty() ? saved.record.id.str()
                                                      : saved.record.layers.back().chain.str();
        names.get_object()[tag.tag()] = top.substr(7);
      }
    }
    return json::serialize(repositories);
  }

  Images::Impl& images_;
  const Cancellation& cancellation_;
  archive::Writer writer_;
  std::unique_ptr<Operation> operation_;
  std::vector<Saved> saved_;
  std::set<std::string> written_;
};

}  // namespace

Status Images::save(const std::vector<std::string>& names, const archive::Sink& sink,
                    const Cancellation& cancellation) {
  return Save(*impl_, sink, cancellation).run(names);
}

}  // namespace holdfast::image
