#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include "base/sha256.h"
#include "image/images_impl.h"
#include "image/registry.h"
#include "storage/archive/byte_queue.h"

namespace holdfast::image {
namespace {

constexpr std::uint64_t kConfigLimit = 8 << 20;
constexpr auto kProgressEvery = std::chrono::milliseconds(100);

// A source that another thread pushes into.
class PushedSource {
 public:
  PushedSource() : queue_(16) {}

  Status push(std::string_view bytes) {
    archive::ByteQueue::Block block = queue_.recycled();
    block.assign(bytes.begin(), bytes.end());
    // Who unpacks has given up; its own error says why.
    if (!queue_.push(std::move(block))) return fail(Code::kAborted, "unpacking ended");
    return {};
  }
  void end(Status status) { queue_.end(std::move(status)); }
  void abandon() { queue_.abandon(); }

  Result<std::size_t> read(char* buffer, std::size_t size) {
    if (used_ == block_.size()) {
      ASSIGN_OR_RETURN(block_, queue_.pop(std::move(block_)));
      used_ = 0;
      if (block_.empty()) return std::size_t{0};
    }
    std::size_t count = std::min(size, block_.size() - used_);
    std::copy_n(block_.data() + used_, count, buffer);
    used_ += count;
    return count;
  }

 private:
  archive::ByteQueue queue_;
  archive::ByteQueue::Block block_;
  std::size_t used_ = 0;
};

// One layer of the image being pulled.
struct Wanted {
  ImageLayer layer;
  std::string id;  // as progress shows it
  bool have_layer = false;
  bool have_blob = false;
  std::optional<StagedLayer> unpacked;
  std::optional<StagedBlob> blob;
};

// One pull from its manifest to the commit.
class Pull {
 public:
  Pull(Images::Impl& images, Reference reference, const std::optional<Platform>& platform,
       const Progress& progress, const Cancellation& cancellation)
      : images_(images),
        reference_(std::move(reference)),
        platform_(platform),
        messages_(progress),
        cancellation_(cancellation) {}

  Status run(const Credentials& credentials) {
    ASSIGN_OR_RETURN(auto registry,
                     Registry::connect(images_.options, source(), credentials, cancellation_));
    registry_ = &registry;
    ASSIGN_OR_RETURN(operation_, Operation::start(images_));
    RETURN_IF_ERROR(find_manifest());
    messages_.status("Pulling from " + reference_.path(), shown_tag());
    if (is_current()) return finish("Image is up to date for ");
    ASSIGN_OR_RETURN(auto fetcher, registry.fetcher(instance()));
    RETURN_IF_ERROR(fetch_config(*fetcher));
    RETURN_IF_ERROR(plan_layers());
    RETURN_IF_ERROR(fetch_layers(std::move(fetcher)));
    RETURN_IF_ERROR(add_image());
    warn_of_platform();
    return finish("Downloaded newer image for ");
  }

 private:
  // What is asked of the registry: with both tag and digest the digest decides.
  Reference source() const {
    return reference_.digest().empty() ? reference_ : reference_.with_digest(reference_.digest());
  }
  Reference instance() const { return reference_.with_digest(manifest_digest_); }

  std::string shown_tag() const {
    return reference_.digest().empty() ? reference_.tag() : reference_.digest();
  }

  Status find_manifest() {
    ASSIGN_OR_RETURN(manifest_text_, registry_->manifest(source()));
    top_digest_ = manifest_digest_ = "sha256:" + sha256_hex(manifest_text_);
    ASSIGN_OR_RETURN(auto document, json::parse_object(manifest_text_));
    ASSIGN_OR_RETURN(bool list, is_index(document));
    if (list) {
      ASSIGN_OR_RETURN(auto index, parse_index(document));
      ASSIGN_OR_RETURN(auto chosen, choose(index, platform_.value_or(host_platform())));
      manifest_digest_ = chosen.descriptor.digest;
      ASSIGN_OR_RETURN(manifest_text_, registry_->manifest(instance()));
      ASSIGN_OR_RETURN(document, json::parse_object(manifest_text_));
      ASSIGN_OR_RETURN(bool nested, is_index(document));
      if (nested) return fail(Code::kInvalidArgument, "nested manifest lists are not supported");
    }
    ASSIGN_OR_RETURN(manifest_, parse_manifest(document));
    return {};
  }

  std::vector<Reference> names() const {
    std::vector<Reference> names = {reference_.with_digest(top_digest_)};
    if (reference_.digest().empty()) names.push_back(reference_);
    return names;
  }

  // Whether every name already points at the image the manifest describes.
  bool is_current() const {
    ImageId id(manifest_.config.digest);
    std::lock_guard lock(images_.mutex);
    auto known = images_.images.find(id);
    if (known == images_.images.end() || known->second.removing) return false;
    for (const auto& name : names()) {
      auto named = images_.references.find(name.str());
      if (named == images_.references.end() || named->second.second != id) return false;
    }
    return true;
  }

  Status fetch_config(BlobFetcher& fetcher) {
    if (manifest_.config.size > kConfigLimit) {
      return fail(Code::kInvalidArgument, "image configuration of {} bytes is too large",
                  manifest_.config.size);
    }
    std::string text;
    auto fetched = fetcher.fetch(
        manifest_.config.digest, manifest_.config.size, [&](std::string_view bytes) -> Status {
          text.append(bytes);
          if (text.size() <= kConfigLimit) return {};
          return fail(Code::kInvalidArgument, "image configuration is too large");
        });
    if ("sha256:" + sha256_hex(text) != manifest_.config.digest) {
      RETURN_IF_ERROR(cancellation_.check());
      if (!fetched && text.empty()) return fetched;
      return fail(Code::kDataLoss, "image config verification failed for digest {}",
                  manifest_.config.digest);
    }
    ASSIGN_OR_RETURN(record_, record_of(std::move(text)));
    record_.config_type = manifest_.config.media_type;
    return {};
  }

  // What of each layer is here already is held from now on.
  Status plan_layers() {
    ASSIGN_OR_RETURN(auto diffs, diff_ids(record_.config));
    if (diffs.size() != manifest_.layers.size())
      return fail(Code::kInvalidArgument, "layers from manifest don't match image configuration");
    auto chain = chain_ids(diffs);
    std::set<std::string> blobs;
    for (std::size_t i = 0; i < diffs.size(); ++i) {
      Wanted wanted;
      wanted.layer = {chain[i], diffs[i], manifest_.layers[i]};
      wanted.id = short_id(manifest_.layers[i].digest);
      wanted.have_layer = bool(images_.layers->hold(operation_->holder(), {chain[i]}));
      wanted.have_blob = images_.blobs->hold(operation_->holder(), {wanted.layer.blob.digest});
      bool there = wanted.have_layer && wanted.have_blob;
      messages_.status(there ? "Already exists" : "Pulling fs layer", wanted.id);
      wanted_.push_back(std::move(wanted));
    }
    return {};
  }

  // Several at a time, lowest first; the first failure stops the others.
  Status fetch_layers(std::unique_ptr<BlobFetcher> first) {
    std::vector<std::thread> workers;
    std::size_t missing =
        static_cast<std::size_t>(std::count_if(wanted_.begin(), wanted_.end(), [](const Wanted& w) {
          return !w.have_layer || !w.have_blob;
        }));
    std::size_t parallel = std::min(missing, images_.options.parallel_downloads);
    for (std::size_t i = parallel; i < missing; ++i) messages_.status("Waiting", waiting(i));
    for (std::size_t i = 1; i < parallel; ++i) workers.emplace_back([this] { work(nullptr); });
    work(std::move(first));
    for (auto& worker : workers) worker.join();
    std::lock_guard lock(mutex_);
    return failure_ ? Status(tl::unexpected(*failure_)) : Status{};
  }

  std::string waiting(std::size_t nth) const {
    for (const auto& wanted : wanted_) {
      if (wanted.have_layer && wanted.have_blob) continue;
      if (nth-- == 0) return wanted.id;
    }
    return {};
  }

  Wanted* take_next() {
    std::lock_guard lock(mutex_);
    while (!failure_ && next_ < wanted_.size()) {
      Wanted& wanted = wanted_[next_++];
      if (!wanted.have_layer || !wanted.have_blob) return &wanted;
    }
    return nullptr;
  }

  void work(std::unique_ptr<BlobFetcher> fetcher) {
    while (Wanted* wanted = take_next()) {
      auto done = fetch_layer(*wanted, fetcher);
      if (done) continue;
      std::lock_guard lock(mutex_);
      if (!failure_) failure_ = done.error();
      stop_.cancel();
      return;
    }
  }

  Status fetch_layer(Wanted& wanted, std::unique_ptr<BlobFetcher>& fetcher) {
    if (wanted.have_blob) {
      ASSIGN_OR_RETURN(auto fd, images_.blobs->read(wanted.layer.blob.digest));
      RETURN_IF_ERROR(unpack(wanted, archive::read_from(fd.borrow())));
    } else {
      if (!fetcher) {
        ASSIGN_OR_RETURN(fetcher, registry_->fetcher(instance()));
      }
      fetcher->stop_with(stop_);
      RETURN_IF_ERROR(download(wanted, *fetcher));
    }
    messages_.status("Pull complete", wanted.id);
    return {};
  }

  // The DiffID is verified on the way, also where the layer itself is here already.
  Status unpack(Wanted& wanted, const archive::Source& source) {
    if (wanted.have_layer) {
      ASSIGN_OR_RETURN(auto inflated, archive::inflate(source, nullptr));
      if (inflated.diff_id == wanted.layer.diff.str()) return {};
      return fail(Code::kDataLoss, "layers from manifest don't match image configuration");
    }
    ASSIGN_OR_RETURN(wanted.unpacked, images_.layers->unpack(source, wanted.layer.diff));
    return {};
  }

  // Fetches on this thread; what arrives goes to the blob's file and to a thread that unpacks.
  Status download(Wanted& wanted, BlobFetcher& fetcher) {
    ASSIGN_OR_RETURN(wanted.blob, images_.blobs->stage());
    PushedSource pushed;
    Status unpacked;
    std::thread unpacker([&] {
      unpacked = unpack(wanted, [&](char* b, std::size_t n) { return pushed.read(b, n); });
      pushed.abandon();
    });
    auto fetched = fetch_blob(wanted, fetcher, pushed);
    pushed.end(fetched);
    unpacker.join();
    RETURN_IF_ERROR(cancellation_.check());
    if (stopped()) return fail(Code::kAborted, "another layer failed");
    bool whole = wanted.blob->size() == wanted.layer.blob.size;
    if (whole && wanted.blob->finish() != wanted.layer.blob.digest) {
      return fail(Code::kDataLoss, "filesystem layer verification failed for digest {}",
                  wanted.layer.blob.digest);
    }
    RETURN_IF_ERROR(std::move(fetched));
    RETURN_IF_ERROR(std::move(unpacked));
    if (!whole) return fail(Code::kInternal, "unexpected EOF");
    messages_.status("Verifying Checksum", wanted.id);
    messages_.status("Download complete", wanted.id);
    messages_.progress("Extracting", wanted.id, wanted.blob->size(), wanted.blob->size());
    return {};
  }

  Status fetch_blob(Wanted& wanted, BlobFetcher& fetcher, PushedSource& pushed) {
    auto told = std::chrono::steady_clock::time_point();
    bool unpacking = true;
    const auto& blob = wanted.layer.blob;
    return fetcher.fetch(blob.digest, blob.size, [&](std::string_view bytes) -> Status {
      if (stopped()) return fail(Code::kAborted, "another layer failed");
      if (wanted.blob->size() + bytes.size() > blob.size)
        return fail(Code::kDataLoss,
                    "filesystem layer verification failed for digest {}: it is "
                    "longer than {} bytes",
                    blob.digest, blob.size);
      RETURN_IF_ERROR(wanted.blob->write(bytes));
      // When unpacking has failed the rest still tells whether the blob itself was at fault.
      unpacking = unpacking && pushed.push(bytes);
      auto time = std::chrono::steady_clock::now();
      if (time - told >= kProgressEvery) {
        told = time;
        messages_.progress("Downloading", wanted.id, wanted.blob->size(), blob.size);
      }
      return {};
    });
  }

  bool stopped() const { return stop_.cancelled(); }

  Status add_image() {
    NewImage image;
    ChainId parent;
    std::set<std::string> staged;
    for (auto& wanted : wanted_) {
      if (wanted.unpacked)
        image.placements.push_back({parent, *std::exchange(wanted.unpacked, std::nullopt)});
      if (wanted.blob) image.blobs.push_back(*std::exchange(wanted.blob, std::nullopt));
      parent = wanted.layer.chain;
      record_.layers.push_back(wanted.layer);
    }
    for (const auto& placement : image.placements) record_.size += placement.layer.size();
    for (const auto& wanted : wanted_) {
      auto known = wanted.have_layer ? images_.layers->find(wanted.layer.chain) : std::nullopt;
      if (known) record_.size += known->size;
    }
    ASSIGN_OR_RETURN(auto manifest, images_.blobs->stage(manifest_text_));
    ASSIGN_OR_RETURN(auto config, images_.blobs->stage(record_.config_text));
    image.blobs.push_back(std::move(manifest));
    image.blobs.push_back(std::move(config));
    record_.manifest = manifest_digest_;
    record_.manifest_type = manifest_.media_type;
    record_.manifest_size = manifest_text_.size();
    record_.original = true;
    image.references = names();
    image.record = std::move(record_);
    return images_.add(std::move(image), *operation_);
  }

  void warn_of_platform() {
    if (!platform_) return;
    std::lock_guard lock(images_.mutex);
    auto known = images_.images.find(ImageId(manifest_.config.digest));
    if (known == images_.images.end()) return;
    const auto& config = known->second.record.config;
    Platform actual{json::string_or(config, "os"), json::string_or(config, "architecture"), {}};
    if (actual.os == platform_->os && actual.architecture == platform_->architecture) return;
    messages_.status(fmt::format(
        "WARNING: image with reference {} was found but does not match the specified platform: "
        "wanted {}, actual: {}",
        reference_.familiar(), to_string(*platform_), to_string(actual)));
  }

  Status finish(std::string_view outcome) {
    messages_.status("Digest: " + top_digest_);
    messages_.status(fmt::format("Status: {}{}", outcome, reference_.familiar()));
    images_.emit("pull", reference_.familiar(), reference_.familiar_name(),
                 ImageId(manifest_.config.digest));
    return {};
  }

  Images::Impl& images_;
  const Reference reference_;
  const std::optional<Platform>& platform_;
  Messages messages_;
  const Cancellation& cancellation_;
  Registry* registry_ = nullptr;
  std::unique_ptr<Operation> operation_;
  std::string top_digest_;       // of what the name points at, maybe a list
  std::string manifest_digest_;  // of the image's own manifest
  std::string manifest_text_;
  Manifest manifest_;
  ImageRecord record_;
  std::vector<Wanted> wanted_;

  std::mutex mutex_;  // guards what follows, between the workers
  std::size_t next_ = 0;
  std::optional<Error> failure_;
  Cancellation stop_;  // for the workers, once one has failed
};

// One pull of a name at a time: a second one finds everything there when its turn comes.
class Turn {
 public:
  Turn(Images::Impl& images, std::string name) : images_(images), name_(std::move(name)) {
    std::unique_lock lock(images_.mutex);
    images_.idle.wait(lock, [&] { return !images_.pulling.contains(name_); });
    images_.pulling.insert(name_);
  }
  ~Turn() {
    {
      std::lock_guard lock(images_.mutex);
      images_.pulling.erase(name_);
    }
    images_.idle.notify_all();
  }

 private:
  Images::Impl& images_;
  std::string name_;
};

}  // namespace

Status Images::pull(std::string_view text, const std::optional<Platform>& platform,
                    const Credentials& credentials, const Progress& progress,
                    const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(auto parsed, Reference::parse(text));
  auto reference = parsed.with_default_tag();
  Turn turn(*impl_, reference.str());
  RETURN_IF_ERROR(cancellation.check());
  return Pull(*impl_, reference, platform, progress, cancellation).run(credentials);
}

}  // namespace holdfast::image
