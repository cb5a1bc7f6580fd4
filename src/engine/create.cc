#include <algorithm>

#include "base/random.h"
#include "engine/container_config.h"
#include "engine/engine_impl.h"
#include "engine/mounts/first_use.h"
#include "engine/mounts/glob_mounts.h"
#include "engine/mounts/mount_plan.h"
#include "engine/secrets/secret_reference.h"
#include "engine/signals.h"
#include "engine/volume_intent.h"
#include "os/safe_path.h"

#include <fcntl.h>
#include <unistd.h>

// Making a container, in steps that leave nothing behind when one fails:
//
//   1. the request is checked and merged with the image's configuration     nothing is kept yet
//   2. its name is reserved and its secrets are held, in memory
//   3. the names of its anonymous volumes are written down (VolumeIntent), for recovery
//   4. volumes are created and held, filled from the image                  undone: released, and
//   removed if they were new
//   5. its folder is made                                                   a folder without a
//   record goes at the next start
//   6. its record is committed: from here on the container exists
namespace holdfast {
namespace {

// Volumes taken for a container that may yet fail to come into being.
class VolumeClaims {
 public:
  VolumeClaims(Volumes& volumes, HolderId holder, HostPathJudge judge)
      : volumes_(volumes), holder_(std::move(holder)), judge_(std::move(judge)) {}
  VolumeClaims(const VolumeClaims&) = delete;
  VolumeClaims& operator=(const VolumeClaims&) = delete;
  ~VolumeClaims() {
    for (const auto& [name, created] : claimed_) {
      volumes_.release(name, holder_);
      // Another container may have taken it meanwhile: then it stays, which is right.
      if (created) (void)volumes_.remove(name);
    }
  }

  Result<VolumePtr> claim(const VolumeSpec& spec) {
    ASSIGN_OR_RETURN(auto made, volumes_.create(spec, holder_, judge_));
    claimed_.emplace_back(made.volume->name, !made.existed);
    return made.volume;
  }
  bool created(const std::string& name) const {
    return std::any_of(claimed_.begin(), claimed_.end(), [&](const auto& entry) {
      return entry.first.str() == name && entry.second;
    });
  }
  void keep() { claimed_.clear(); }

 private:
  Volumes& volumes_;
  const HolderId holder_;
  const HostPathJudge judge_;
  std::vector<std::pair<VolumeName, bool>> claimed_;
};

// Frees the name of a container that failed to come into being.
class NameClaim {
 public:
  NameClaim(ContainerTable& table, std::string name) : table_(table), name_(std::move(name)) {}
  NameClaim(const NameClaim&) = delete;
  NameClaim& operator=(const NameClaim&) = delete;
  ~NameClaim() {
    if (!name_.empty()) table_.release_name(name_);
  }
  void keep() { name_.clear(); }

 private:
  ContainerTable& table_;
  std::string name_;
};

// Secrets taken for a container that may yet fail to come into being.
class SecretClaims {
 public:
  SecretClaims(Secrets& secrets, HolderId holder) : secrets_(secrets), holder_(std::move(holder)) {}
  SecretClaims(const SecretClaims&) = delete;
  SecretClaims& operator=(const SecretClaims&) = delete;
  ~SecretClaims() {
    if (!kept_) secrets_.release(holder_);
  }

  Status claim(const std::vector<SecretReference>& references) {
    for (const auto& reference : references) RETURN_IF_ERROR(secrets_.hold(reference.id, holder_));
    return {};
  }
  void keep() { kept_ = true; }

 private:
  Secrets& secrets_;
  const HolderId holder_;
  bool kept_ = false;
};

// Gives anonymous volumes their names, and returns those.
std::vector<std::string> name_anonymous_volumes(std::vector<MountPoint>& mounts) {
  std::vector<std::string> names;
  for (auto& mount : mounts) {
    if (mount.type != MountType::kVolume || !mount.source.empty()) continue;
    mount.source = random_hex(64);
    mount.volume_labels[std::string(kAnonymousLabel)] = "";
    names.push_back(mount.source);
  }
  return names;
}

Status claim_volumes(std::vector<MountPoint>& mounts, VolumeClaims& claims) {
  for (auto& mount : mounts) {
    if (mount.type != MountType::kVolume) continue;
    VolumeSpec spec{mount.source, mount.driver, mount.volume_options, mount.volume_labels};
    auto claimed = claims.claim(spec);
    // An answer 404 here would tell clients that the image is missing.
    if (!claimed && claimed.error().code == Code::kNotFound)
      claimed.error().code = Code::kInvalidArgument;
    ASSIGN_OR_RETURN(auto volume, std::move(claimed));
    mount.source = volume->name.str();
    mount.driver = volume->driver;
    mount.anonymous = mount.anonymous || volume->anonymous();
  }
  return {};
}

Status check_source(Engine::Impl& impl, const MountPoint& mount, const Requester& requester) {
  if (mount.type == MountType::kBind) return impl.mounts.check_bind_source(mount, requester);
  Status found;
  if (mount.type == MountType::kImage)
    found = impl.parts.images.resolve(mount.source).map([](const ImageId&) {});
  else if (mount.type == MountType::kVolume && !mount.create_source)
    found = impl.parts.volumes.get(VolumeName(mount.source)).map([](const VolumePtr&) {});
  if (found) return {};
  // Not 404, which tells clients of a create that the container's own image is missing.
  return invalid_mount_config(to_string(mount.type), found.error().message);
}

// The mounts the request asks for, their sources looked at, nothing made yet.
Result<std::vector<MountPoint>> plan_and_check_mounts(Engine::Impl& impl,
                                                      const ContainerConfig& config,
                                                      const ContainerRequest& request) {
  PlanContext context;
  context.mounts_of = [&](const std::string& name) -> Result<std::vector<MountPoint>> {
    ASSIGN_OR_RETURN(auto other, impl.table.find(name));
    return other->view().mounts;
  };
  // All versions from 1.24 on have two digits behind the point, or are older than 1.44.
  context.read_only_top_only = request.api_version < "1.44";
  ASSIGN_OR_RETURN(auto mounts, plan_mounts(config.config, config.host_config, context));
  RETURN_IF_ERROR(expand_globs(mounts));
  for (const auto& mount : mounts) RETURN_IF_ERROR(check_source(impl, mount, request.requester));
  return mounts;
}

// Ids for a container that asks for a user namespace; given back unless the container comes to be.
class RangeClaim {
 public:
  RangeClaim(UserRanges& ranges, ContainerId id) : ranges_(ranges), id_(std::move(id)) {}
  RangeClaim(const RangeClaim&) = delete;
  RangeClaim& operator=(const RangeClaim&) = delete;
  ~RangeClaim() {
    if (claimed_) ranges_.give_back(id_);
  }
  Result<std::optional<UserRange>> claim(const json::Object& host_config) {
    ASSIGN_OR_RETURN(auto ids, parse_userns_mode(json::string_or(host_config, "UsernsMode")));
    if (ids == 0) return std::nullopt;
    ASSIGN_OR_RETURN(auto range, ranges_.take(id_, ids));
    claimed_ = true;
    return range;
  }
  void keep() { claimed_ = false; }

 private:
  UserRanges& ranges_;
  const ContainerId id_;
  bool claimed_ = false;
};

// The networks the container is to be on: the one of NetworkMode first, with what EndpointsConfig
// says of it.
Result<std::vector<Endpoint>> plan_endpoints(const ContainerConfig& request,
                                             const Networks& networks) {
  std::string mode_text = json::string_or(request.host_config, "NetworkMode");
  ASSIGN_OR_RETURN(auto mode, parse_network_mode(mode_text));
  std::vector<Endpoint> endpoints;
  if (mode.kind == NetworkMode::Kind::kContainer) {
    // Some clients repeat the mode there, which says nothing more.
    bool other = std::any_of(
        request.networking.begin(), request.networking.end(),
        [](const auto& entry) { return !std::string_view(entry.key()).starts_with("container:"); });
    if (other) {
      return fail(Code::kInvalidArgument,
                  "conflicting options: cannot attach both user-defined and non-user-defined "
                  "network-modes");
    }
    return endpoints;
  }
  std::string first = mode.kind == NetworkMode::Kind::kHost   ? "host"
                      : mode.kind == NetworkMode::Kind::kNone ? "none"
                                                              : mode.reference;
  if (first.empty()) first = "bridge";
  auto settings_of = [&](const std::string& name) -> const json::Object* {
    for (const auto& [key, value] : request.networking) {
      bool same = key == name || (name == "bridge" && key == "default");
      if (same && value.is_object()) return &value.get_object();
    }
    return nullptr;
  };
  // A network that isn't there is an error of the start: an answer 404 here would tell clients that
  // the image is missing.
  auto first_id = networks.find(first);
  const json::Object none;
  const auto* first_settings = settings_of(first);
  ASSIGN_OR_RETURN(auto endpoint,
                   Endpoint::from_json(first, first_settings ? *first_settings : none));
  endpoints.push_back(std::move(endpoint));
  for (const auto& [key, value] : request.networking) {
    std::string name(key);
    if (name == first || (first == "bridge" && name == "default")) continue;
    auto id = networks.find(name);
    if (id && first_id && *id == *first_id) continue;
    ASSIGN_OR_RETURN(auto other,
                     Endpoint::from_json(name, value.is_object() ? value.get_object() : none));
    endpoints.push_back(std::move(other));
  }
  return endpoints;
}

// The host's own name for containers that share its UTS namespace or network, else the short id.
std::string default_hostname(const json::Object& host_config, const ContainerId& id) {
  if (json::string_or(host_config, "NetworkMode") == "host" ||
      json::string_or(host_config, "UTSMode") == "host") {
    char name[256] = {};
    if (::gethostname(name, sizeof name - 1) == 0) return name;
  }
  return id.str().substr(0, 12);
}

Status check_platform(const std::string& wanted, const image::Image& image,
                      const std::string& reference) {
  if (wanted.empty()) return {};
  ASSIGN_OR_RETURN(auto platform, image::parse_platform(wanted));
  std::string architecture = json::string_or(image.config, "architecture");
  if (!platform.architecture.empty() && platform.architecture != architecture) {
    return fail(Code::kNotFound,
                "image with reference {} was found but its platform (linux/{}) does not match the "
                "specified platform ({})",
                reference, architecture, wanted);
  }
  return {};
}

// Names of other containers in HostConfig become ids, so that a later rename changes nothing.
Status resolve_container_modes(json::Object& host_config, const ContainerTable& table) {
  for (const char* key : {"NetworkMode", "IpcMode", "PidMode"}) {
    std::string mode = json::string_or(host_config, key);
    if (!mode.starts_with("container:")) continue;
    ASSIGN_OR_RETURN(auto other, table.find(mode.substr(10)));
    host_config[key] = "container:" + other->id.str();
  }
  return {};
}

}  // namespace

Result<ContainerMade> Engine::create(const ContainerRequest& request) {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto config, parse_container_config(request.body, {impl.parts.runtime.name(),
                                                                      impl.options.private_users}));
  std::string reference = json::string_or(config.config, "Image");
  ASSIGN_OR_RETURN(auto image, impl.parts.images.find(reference));
  ASSIGN_OR_RETURN(auto pin, impl.parts.images.pin(image.id));
  RETURN_IF_ERROR(check_platform(request.platform, image, reference));
  RETURN_IF_ERROR(merge_image_config(config.config, image.container_config()));
  ContainerData merged;
  merged.config = config.config;
  if (auto signal = impl.stop_signal(merged, ""); !signal) return tl::unexpected(signal.error());
  RETURN_IF_ERROR(resolve_container_modes(config.host_config, impl.table));
  ASSIGN_OR_RETURN(auto endpoints, plan_endpoints(config, impl.parts.networks));
  ASSIGN_OR_RETURN(auto ports,
                   parse_port_bindings(json::object_or_empty(config.host_config, "PortBindings")));
  if (!ports.empty() &&
      json::string_or(config.host_config, "NetworkMode").starts_with("container:")) {
    return fail(Code::kInvalidArgument,
                "conflicting options: port publishing and the container type network mode");
  }
  for (const auto& port : ports) {
    if (!json::find(config.config, "ExposedPorts")) config.config["ExposedPorts"] = json::Object{};
    config.config["ExposedPorts"].get_object()[port.port.str()] = json::Object{};
  }
  ASSIGN_OR_RETURN(auto mounts, plan_and_check_mounts(impl, config, request));

  ASSIGN_OR_RETURN(
      auto secrets,
      parse_secret_references(json::array_or_empty(config.host_config, "Secrets"), *impl.secrets));
  RETURN_IF_ERROR(check_secret_targets(secrets, mounts));
  if (!secrets.empty()) config.host_config["Secrets"] = to_json(secrets);

  ContainerId id(random_hex(64));
  ASSIGN_OR_RETURN(auto name, impl.table.reserve_name(request.name, id));
  NameClaim name_claim(impl.table, name);
  RangeClaim range_claim(impl.user_ranges, id);
  ASSIGN_OR_RETURN(auto user_range, range_claim.claim(config.host_config));
  if (json::string_or(config.config, "Hostname").empty()) {
    config.config["Hostname"] = default_hostname(config.host_config, id);
  }
  SecretClaims secret_claims(*impl.secrets, impl.holder_of(id));
  RETURN_IF_ERROR(secret_claims.claim(secrets));
  auto anonymous = name_anonymous_volumes(mounts);
  VolumeIntent intent(id);
  Batch together;
  if (!anonymous.empty()) {
    Batch declared;
    intent.declare(declared, anonymous);
    RETURN_IF_ERROR(impl.parts.store.commit(std::move(declared)));
    intent.end(together);
  }
  VolumeClaims claims(impl.parts.volumes, impl.holder_of(id),
                      impl.mounts.judge_for(request.requester));
  RETURN_IF_ERROR(claim_volumes(mounts, claims));
  ASSIGN_OR_RETURN(auto layers, impl.parts.images.layer_paths(image.id));
  ASSIGN_OR_RETURN(auto image_root, ImageRoot::open(layers));
  FirstUse first_use{impl.parts.volumes, impl.parts.store, impl.mounts};
  ASSIGN_OR_RETURN(auto warnings, first_use.fill(mounts, image_root, request.requester));
  RETURN_IF_ERROR(impl.folders.create(id));

  ContainerData data;
  data.name = name;
  data.config = std::move(config.config);
  data.host_config = std::move(config.host_config);
  data.endpoints = std::move(endpoints);
  data.mounts = std::move(mounts);
  data.requester = request.requester;
  data.user_range = user_range;
  auto container = std::make_shared<Container>(id, image.id, "linux", now(), std::move(data));
  if (auto added = impl.table.add(container, std::move(together)); !added) {
    (void)impl.folders.discard(id);
    return tl::unexpected(std::move(added).error());
  }
  for (const auto& mount : container->view().mounts) {
    if (mount.type == MountType::kVolume && claims.created(mount.source)) {
      impl.publish_volume("create", VolumeName(mount.source), {{"driver", mount.driver}});
    }
  }
  claims.keep();
  secret_claims.keep();
  name_claim.keep();
  range_claim.keep();
  impl.publish(*container, "create");
  return ContainerMade{id, std::move(warnings)};
}

Status Engine::rename(const std::string& name, const std::string& new_name) {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto container, impl.table.find(name));
  if (new_name.empty())
    return fail(Code::kInvalidArgument, "Neither old nor new names may be empty");
  auto guard = container->slot.acquire();
  std::string old = container->name();
  if (old == new_name || "/" + old == new_name) {
    return fail(Code::kInvalidArgument,
                "Renaming a container with the same name as its current name");
  }
  RETURN_IF_ERROR(impl.table.rename(*container, new_name));
  if (container->state().running())
    RETURN_IF_ERROR(impl.parts.networks.rename(container->id, container->name()));
  impl.publish(*container, "rename", {{"oldName", "/" + old}});
  return {};
}

}  // namespace holdfast
