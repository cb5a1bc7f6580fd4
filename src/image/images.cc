#include "image/images.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "image/images_impl.h"
#include "storage/archive/remove_entry.h"

namespace holdfast::image {
namespace {

constexpr std::string_view kStagedPrefix = "image-";

bool is_hex(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// What the error of a failed look-up calls the thing: a reference with its default tag.
tl::unexpected<Error> no_such_image(std::string_view text) {
  auto reference = Reference::parse(text);
  std::string name = reference ? reference->with_default_tag().familiar() : std::string(text);
  return fail(Code::kNotFound, "No such image: {}", name);
}

}  // namespace

const json::Object& Image::container_config() const {
  return json::object_or_empty(config, "config");
}

std::map<std::string, std::string> Image::labels() const {
  return json::string_map_or_empty(container_config(), "Labels");
}

Result<std::unique_ptr<Operation>> Operation::start(Images::Impl& images) {
  std::unique_ptr<Operation> operation(new Operation(images));
  std::string name = fmt::format("{}{}", kStagedPrefix, random_hex(16));
  operation->holder_ = HolderId("operation-" + name);
  std::string path = fmt::format("{}/staging/{}", images.options.data_root, name);
  if (::mkdir(path.c_str(), 0700) != 0) return fail_errno("mkdir \"{}\"", path);
  operation->directory_ = path;
  return operation;
}

Operation::~Operation() {
  Batch batch;
  auto unheld = images_.layers->release(holder_, batch);
  if (!unheld.empty()) {
    if (auto committed = images_.store.commit(std::move(batch)); committed) {
      images_.layers->discard(unheld);
    } else {
      // Collected at the next start.
      images_.layers->restore(holder_, unheld);
    }
  }
  images_.blobs->release(holder_);
  auto staging = open_file(images_.options.data_root + "/staging", O_RDONLY | O_DIRECTORY);
  if (staging && !directory_.empty()) {
    auto removed = archive::remove_entry(*staging, directory_.substr(directory_.rfind('/') + 1));
    if (!removed) log::warn("remove \"{}\": {}", directory_, removed.error().message);
  }
}

Images::Images(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Images::~Images() = default;

Result<std::unique_ptr<Images>> Images::open(Options options, Store& store) {
  auto impl = std::make_unique<Impl>(std::move(options), store);
  ASSIGN_OR_RETURN(impl->layers, Layers::open(impl->options.data_root, store));
  ASSIGN_OR_RETURN(impl->blobs, Blobs::open(impl->options.data_root));
  RETURN_IF_ERROR(impl->sweep_staging());
  RETURN_IF_ERROR(impl->load_records());
  if (impl->may_collect) {
    RETURN_IF_ERROR(impl->layers->collect());
    RETURN_IF_ERROR(impl->blobs->collect());
  }
  return std::unique_ptr<Images>(new Images(std::move(impl)));
}

Status Images::Impl::sweep_staging() {
  std::string staging = options.data_root + "/staging";
  ASSIGN_OR_RETURN(auto fd, open_file(staging, O_RDONLY | O_DIRECTORY));
  DIR* stream = ::opendir(staging.c_str());
  if (!stream) return fail_errno("list \"{}\"", staging);
  std::vector<std::string> names;
  while (const struct dirent* entry = ::readdir(stream)) {
    if (std::string_view(entry->d_name).starts_with(kStagedPrefix))
      names.emplace_back(entry->d_name);
  }
  ::closedir(stream);
  for (const auto& name : names) RETURN_IF_ERROR(archive::remove_entry(fd, name));
  return {};
}

Status Images::Impl::load_records() {
  ASSIGN_OR_RETURN(auto records, store.all(RecordKind::kImage));
  for (const auto& stored : records) {
    auto record = parse_image(stored);
    if (!record) {
      // One bad record never stops the daemon; but what it holds is not ours to delete.
      log::error("record of image {}: {}", stored.key, record.error().message);
      may_collect = false;
      continue;
    }
    auto held = layers->hold(holder_of(record->id), record->chain());
    if (!held) log::error("image {}: {}", record->id, held.error().message);
    for (const auto& digest : record->blobs()) {
      if (!blobs->hold(holder_of(record->id), {digest}))
        log::error("image {}: blob {} is missing", record->id, digest);
    }
    ImageId id = record->id;
    images[id] = Known{*std::move(record), 0, false};
  }
  ASSIGN_OR_RETURN(auto names, store.all(RecordKind::kReference));
  for (const auto& stored : names) {
    auto reference = Reference::parse(stored.key);
    auto document = json::parse_object(stored.document);
    ImageId id(document ? json::string_or(*document, "image") : "");
    if (!reference || !images.contains(id)) {
      log::error("reference \"{}\" names no image", stored.key);
      continue;
    }
    references[stored.key] = {*reference, id};
  }
  return {};
}

void Images::on_event(std::function<void(const Event&)> listener) {
  impl_->listener = std::move(listener);
}

void Images::Impl::emit(std::string action, std::string id, std::string name,
                        const ImageId& image) const {
  if (!listener) return;
  Event event{std::move(action), std::move(id), {}};
  {
    std::lock_guard lock(mutex);
    auto known = images.find(image);
    if (known != images.end()) {
      const auto& config = json::object_or_empty(known->second.record.config, "config");
      event.attributes = json::string_map_or_empty(config, "Labels");
    }
  }
  event.attributes["name"] = std::move(name);
  listener(event);
}

Result<ImageId> Images::Impl::resolve(std::string_view text) const {
  auto by_digits = [&](std::string_view digits) -> Result<ImageId> {
    std::string prefix = fmt::format("sha256:{}", digits);
    auto at = images.lower_bound(ImageId(prefix));
    if (at == images.end() || !at->first.str().starts_with(prefix)) return no_such_image(text);
    auto next = std::next(at);
    if (next != images.end() && next->first.str().starts_with(prefix))
      return fail(Code::kInvalidArgument, "ambiguous image id prefix: {}", text);
    return at->first;
  };
  if (text.starts_with("sha256:") && text.size() > 7 && is_hex(text.substr(7)))
    return by_digits(text.substr(7));
  if (text.size() == 64 && is_hex(text)) return by_digits(text);
  auto reference = Reference::parse(text);
  if (reference) {
    auto wanted = reference->with_default_tag();
    // With both, the digest decides, as in Docker.
    if (!wanted.digest().empty()) wanted = wanted.with_digest(wanted.digest());
    auto named = references.find(wanted.str());
    if (named != references.end()) return named->second.second;
    if (!wanted.digest().empty() && images.contains(ImageId(wanted.digest())))
      return ImageId(wanted.digest());
  }
  if (is_hex(text)) return by_digits(text);
  if (!reference && reference.error().code == Code::kInvalidArgument)
    return tl::unexpected(reference.error());
  return no_such_image(text);
}

Result<ImageId> Images::resolve(std::string_view text) const {
  std::lock_guard lock(impl_->mutex);
  return impl_->resolve(text);
}

std::vector<Reference> Images::Impl::references_of(const ImageId& id) const {
  std::vector<Reference> found;
  for (const auto& [key, named] : references) {
    if (named.second == id) found.push_back(named.first);
  }
  return found;
}

Image Images::Impl::to_image(const Known& known) const {
  const auto& record = known.record;
  Image image{record.id, record.config, {}, {}, record.size, record.created(), record.parent};
  for (const auto& reference : references_of(record.id)) {
    if (reference.digest().empty())
      image.repo_tags.push_back(reference.familiar());
    else
      image.repo_digests.push_back(reference.familiar());
  }
  return image;
}

Result<Image> Images::get(const ImageId& id) const {
  std::lock_guard lock(impl_->mutex);
  auto known = impl_->images.find(id);
  if (known == impl_->images.end()) return no_such_image(id.str());
  return impl_->to_image(known->second);
}

Result<Image> Images::find(std::string_view text) const {
  std::lock_guard lock(impl_->mutex);
  ASSIGN_OR_RETURN(auto id, impl_->resolve(text));
  return impl_->to_image(impl_->images.at(id));
}

Result<Pin> Images::pin(const ImageId& id) {
  std::lock_guard lock(impl_->mutex);
  auto known = impl_->images.find(id);
  if (known == impl_->images.end() || known->second.removing) return no_such_image(id.str());
  ++known->second.pins;
  return Pin([impl = impl_.get(), id] {
    std::lock_guard unpin(impl->mutex);
    auto pinned = impl->images.find(id);
    if (pinned != impl->images.end()) --pinned->second.pins;
  });
}

std::size_t Images::count() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->images.size();
}

Result<std::vector<std::string>> Images::layer_paths(const ImageId& id) const {
  std::lock_guard lock(impl_->mutex);
  auto known = impl_->images.find(id);
  if (known == impl_->images.end()) return no_such_image(id.str());
  std::vector<std::string> paths;
  const auto& layers = known->second.record.layers;
  for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
    if (!impl_->layers->find(layer->chain))
      return fail(Code::kDataLoss, "image {}: layer {} is missing", id, layer->chain);
    paths.push_back(impl_->layers->path(layer->chain));
  }
  return paths;
}

Status Images::Impl::commit_references(const ImageId& id, const std::vector<Reference>& wanted) {
  Batch batch;
  for (const auto& reference : wanted) {
    batch.put(RecordKind::kReference, reference.str(),
              json::serialize(json::Object{{"image", id.str()}}));
  }
  ImageRecord record;
  {
    std::lock_guard lock(mutex);
    auto known = images.find(id);
    if (known == images.end()) return no_such_image(id.str());
    record = known->second.record;
  }
  record.last_tagged = now();
  batch.put(RecordKind::kImage, id.str(), to_document(record));
  RETURN_IF_ERROR(store.commit(std::move(batch)));
  std::lock_guard lock(mutex);
  for (const auto& reference : wanted) references[reference.str()] = {reference, id};
  images.at(id).record.last_tagged = record.last_tagged;
  return {};
}

Status Images::Impl::add(NewImage image, Operation& operation) {
  const ImageId id = image.record.id;
  for (auto& blob : image.blobs) RETURN_IF_ERROR(blobs->adopt(std::move(blob), operation.holder()));
  Batch batch;
  // Syncs the blobs just adopted, too.
  auto placed = layers->place(std::move(image.placements), operation.holder(), batch);
  if (!placed) return tl::unexpected(std::move(placed).error());

  auto removing = [&] { return images.contains(id) && images.at(id).removing; };
  std::unique_lock writing(writer);
  {
    std::unique_lock lock(mutex);
    // Whoever removes it needs `writer` to get on: it must not be held while waiting for the end.
    while (removing()) {
      writing.unlock();
      idle.wait(lock, [&] { return !removing(); });
      lock.unlock();
      writing.lock();
      lock.lock();
    }
    if (images.contains(id)) {
      lock.unlock();
      return commit_references(id, image.references);
    }
  }
  RETURN_IF_ERROR(layers->hold(holder_of(id), image.record.chain(), &batch));
  CHECK(blobs->hold(holder_of(id), image.record.blobs()));
  if (!image.references.empty()) image.record.last_tagged = now();
  batch.put(RecordKind::kImage, id.str(), to_document(image.record));
  for (const auto& reference : image.references) {
    batch.put(RecordKind::kReference, reference.str(),
              json::serialize(json::Object{{"image", id.str()}}));
  }
  if (auto committed = store.commit(std::move(batch)); !committed) {
    // The operation still holds them all, so none is unheld here.
    Batch none;
    layers->release(holder_of(id), none);
    blobs->release(holder_of(id));
    return committed;
  }
  std::lock_guard lock(mutex);
  images[id] = Known{std::move(image.record), 0, false};
  for (const auto& reference : image.references) references[reference.str()] = {reference, id};
  return {};
}

Status Images::tag(std::string_view source, std::string_view repository, std::string_view tag) {
  std::string text(repository);
  if (!tag.empty()) text += fmt::format(":{}", tag);
  ASSIGN_OR_RETURN(auto parsed, Reference::parse(text));
  if (!parsed.digest().empty())
    return fail(Code::kInvalidArgument, "refusing to create a tag with a digest reference");
  auto reference = parsed.with_default_tag();
  ImageId id;
  {
    std::lock_guard writing(impl_->writer);
    {
      std::lock_guard lock(impl_->mutex);
      ASSIGN_OR_RETURN(id, impl_->resolve(source));
      if (impl_->images.at(id).removing) return no_such_image(source);
    }
    RETURN_IF_ERROR(impl_->commit_references(id, {reference}));
  }
  impl_->emit("tag", id.str(), reference.familiar(), id);
  return {};
}

DiskUsage Images::disk_usage() const {
  DiskUsage usage;
  usage.layers_size = impl_->layers->total_size();
  std::lock_guard lock(impl_->mutex);
  std::map<ChainId, unsigned> users;
  for (const auto& [id, known] : impl_->images) {
    for (const auto& layer : known.record.layers) ++users[layer.chain];
  }
  for (const auto& [id, known] : impl_->images) {
    std::uint64_t shared = 0;
    for (const auto& layer : known.record.layers) {
      auto size = impl_->layers->find(layer.chain);
      if (size && users[layer.chain] > 1) shared += size->size;
    }
    usage.shared_size[id] = shared;
  }
  return usage;
}

}  // namespace holdfast::image
