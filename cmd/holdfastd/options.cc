#include "options.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include <filesystem>

#include "base/file.h"
#include "base/json.h"

namespace holdfast {
namespace {

constexpr const char* kDefaultHost = "unix:///run/holdfast/holdfast.sock";

Result<log::Level> parse_level(const std::string& text) {
  if (text == "debug") return log::Level::kDebug;
  if (text == "info") return log::Level::kInfo;
  if (text == "warn") return log::Level::kWarn;
  if (text == "error" || text == "fatal") return log::Level::kError;
  return fail(Code::kInvalidArgument, "invalid log level \"{}\": use debug, info, warn or error",
              text);
}

Result<AddressPool> parse_pool(const std::string& text) {
  AddressPool pool;
  std::size_t begin = 0;
  while (begin < text.size()) {
    auto end = std::min(text.find(',', begin), text.size());
    std::string part = text.substr(begin, end - begin);
    if (part.starts_with("base=")) {
      pool.base = part.substr(5);
    } else if (part.starts_with("size=") && part.size() <= 7 &&
               part.find_first_not_of("0123456789", 5) == std::string::npos) {
      pool.size = std::stoi("0" + part.substr(5));
    } else {
      return fail(Code::kInvalidArgument,
                  "--default-address-pool \"{}\": give base=ADDRESS/BITS,size=BITS", text);
    }
    begin = end + 1;
  }
  if (pool.base.empty())
    return fail(Code::kInvalidArgument, "--default-address-pool \"{}\" has no base", text);
  return pool;
}

// The texts the command line gives; what stays empty may come from the file.
struct Texts {
  std::string level;
  std::vector<std::string> pools;
  std::vector<std::string> bind_roots;
  bool binds_limited = false;  // also by an empty list
  bool debug = false;
};

void declare(CLI::App& app, DaemonOptions& options, Texts& texts) {
  app.add_option("-H,--host", options.hosts,
                 "Socket to listen on: unix://PATH, tcp://ADDRESS:PORT (TLS only), fd://");
  app.add_option("--data-root", options.data_root, "Directory of everything that lasts")
      ->capture_default_str();
  app.add_option("--exec-root", options.exec_root, "Directory of everything that a reboot ends")
      ->capture_default_str();
  app.add_option("--config-file", options.config_file, "Configuration in JSON")
      ->capture_default_str();
  app.add_option("--secrets-key-file", options.secrets_key_file,
                 "Key that secrets are sealed with; outside of the data root")
      ->capture_default_str();
  app.add_option("-p,--pidfile", options.pidfile, "File to write the process id to");
  app.add_option("-G,--group", options.group,
                 "Group that owns Unix sockets (default: docker, if it exists)");
  app.add_option("--default-runtime", options.default_runtime,
                 "OCI runtime: crun, runc or a path (default: what works)");
  app.add_option("-l,--log-level", texts.level, "debug, info, warn or error (default: info)");
  app.add_flag("-D,--debug", texts.debug, "The same as --log-level debug");
  app.add_option("-b,--bridge", options.bridge,
                 "Interface of the default bridge network; none: no such network")
      ->capture_default_str();
  app.add_option("--bip", options.bip, "Address of the default bridge, such as 172.17.0.1/16");
  app.add_option("--mtu", options.mtu, "MTU of the default bridge");
  app.add_option("--mount-timeout", options.mount_timeout,
                 "Seconds a volume's file system may take to be mounted")
      ->capture_default_str();
  app.add_option("--default-address-pool", texts.pools,
                 "Range for new networks: base=172.30.0.0/16,size=24");
  app.add_option("--insecure-registry", options.insecure_registries,
                 "Registry to be spoken to without verified TLS");
  app.add_option("--userns-remap", options.userns_remap,
                 "Give containers user namespaces: default, or the user whose ids in /etc/subuid "
                 "they get");
  app.add_option("--allowed-bind-root", texts.bind_roots,
                 "Directory below which bind mounts must lie; may hold $HOME and $USER of the "
                 "client's user (default: no limit)");
  app.add_option("--label", options.labels, "Label of this daemon, name=value");
  app.add_flag("--tlsverify", options.tls.verify,
               "Accept TCP clients with a certificate signed by the CA");
  app.add_option("--tlscacert", options.tls.ca, "Certificate of the CA");
  app.add_option("--tlscert", options.tls.certificate, "Certificate of this daemon");
  app.add_option("--tlskey", options.tls.key, "Key of that certificate");
}

// Values of the file count where no flag was given, and a key given in both places is an error as
// it is for dockerd.
class ConfigFile {
 public:
  ConfigFile(const CLI::App& app, json::Object object, std::string path)
      : app_(app), object_(std::move(object)), path_(std::move(path)) {}

  Status apply(DaemonOptions& options, Texts& texts) {
    RETURN_IF_ERROR(string("data-root", "--data-root", options.data_root));
    RETURN_IF_ERROR(string("exec-root", "--exec-root", options.exec_root));
    RETURN_IF_ERROR(string("pidfile", "--pidfile", options.pidfile));
    RETURN_IF_ERROR(string("secrets-key-file", "--secrets-key-file", options.secrets_key_file));
    RETURN_IF_ERROR(string("group", "--group", options.group));
    RETURN_IF_ERROR(string("default-runtime", "--default-runtime", options.default_runtime));
    RETURN_IF_ERROR(string("log-level", "--log-level", texts.level));
    RETURN_IF_ERROR(string("bridge", "--bridge", options.bridge));
    RETURN_IF_ERROR(string("bip", "--bip", options.bip));
    RETURN_IF_ERROR(string("tlscacert", "--tlscacert", options.tls.ca));
    RETURN_IF_ERROR(string("tlscert", "--tlscert", options.tls.certificate));
    RETURN_IF_ERROR(string("tlskey", "--tlskey", options.tls.key));
    RETURN_IF_ERROR(flag("tlsverify", "--tlsverify", options.tls.verify));
    RETURN_IF_ERROR(flag("debug", "--debug", texts.debug));
    RETURN_IF_ERROR(list("hosts", "--host", options.hosts));
    RETURN_IF_ERROR(list("labels", "--label", options.labels));
    RETURN_IF_ERROR(string("userns-remap", "--userns-remap", options.userns_remap));
    texts.binds_limited = object_.if_contains("allowed-bind-roots") != nullptr;
    RETURN_IF_ERROR(list("allowed-bind-roots", "--allowed-bind-root", texts.bind_roots));
    RETURN_IF_ERROR(
        list("insecure-registries", "--insecure-registry", options.insecure_registries));
    RETURN_IF_ERROR(take("mtu", "--mtu", [&](const json::Object& object) -> Status {
      ASSIGN_OR_RETURN(auto mtu, json::get_int(object, "mtu"));
      options.mtu = static_cast<int>(mtu);
      return {};
    }));
    RETURN_IF_ERROR(
        take("mount-timeout", "--mount-timeout", [&](const json::Object& object) -> Status {
          ASSIGN_OR_RETURN(auto seconds, json::get_int(object, "mount-timeout"));
          options.mount_timeout = static_cast<int>(std::clamp<std::int64_t>(seconds, 0, 86401));
          return {};
        }));
    RETURN_IF_ERROR(
        take("default-address-pools", "--default-address-pool",
             [&](const json::Object& object) -> Status {
               ASSIGN_OR_RETURN(auto pools, json::get_array(object, "default-address-pools"));
               for (const auto& pool : pools) {
                 if (!pool.is_object())
                   return fail(Code::kInvalidArgument,
                               "default-address-pools holds something that is no object");
                 options.address_pools.push_back(
                     {json::string_or(pool.get_object(), "base"),
                      static_cast<int>(json::int_or(pool.get_object(), "size", 24))});
               }
               return {};
             }));
    RETURN_IF_ERROR(plugins(options.plugins));
    if (object_.empty()) return {};
    return fail(Code::kInvalidArgument, "configuration file \"{}\": unknown key \"{}\"", path_,
                std::string_view(object_.begin()->key()));
  }

 private:
  // Where volume plugins are looked for, and how long they are waited for; no flags.
  Status plugins(PluginOptions& plugins) {
    if (object_.if_contains("plugin-directories"))
      RETURN_IF_ERROR(list("plugin-directories", nullptr, plugins.directories));
    for (const auto& directory : plugins.directories) {
      if (!directory.starts_with('/'))
        return fail(Code::kInvalidArgument,
                    "configuration file \"{}\": \"plugin-directories\": \"{}\" is no absolute path",
                    path_, directory);
    }
    RETURN_IF_ERROR(seconds("plugin-timeout", plugins.deadlines.slow));
    return seconds("plugin-quick-timeout", plugins.deadlines.quick);
  }
  Status seconds(const char* key, std::chrono::milliseconds& value) {
    return take(key, nullptr, [&](const json::Object& object) -> Status {
      ASSIGN_OR_RETURN(auto number, json::get_int(object, key));
      if (number < 1 || number > 86400)
        return fail(Code::kInvalidArgument, "\"{}\" is not between 1 and 86400 seconds", key);
      value = std::chrono::seconds(number);
      return {};
    });
  }

  // Without a flag, `flag_name` is null.
  Status take(const char* key, const char* flag_name,
              const std::function<Status(const json::Object&)>& apply) {
    if (!object_.if_contains(key)) return {};
    if (flag_name && app_.count(flag_name) > 0) {
      return fail(Code::kInvalidArgument, "\"{}\" is given both by {} and in \"{}\"", key,
                  flag_name, path_);
    }
    auto status = apply(object_);
    object_.erase(key);
    if (status) return {};
    return tl::unexpected(
        std::move(status).error().wrap(fmt::format("configuration file \"{}\"", path_)));
  }
  Status string(const char* key, const char* flag_name, std::string& value) {
    return take(key, flag_name, [&](const json::Object& object) -> Status {
      ASSIGN_OR_RETURN(value, json::get_string(object, key));
      return {};
    });
  }
  Status flag(const char* key, const char* flag_name, bool& value) {
    return take(key, flag_name, [&](const json::Object& object) -> Status {
      ASSIGN_OR_RETURN(value, json::get_bool(object, key));
      return {};
    });
  }
  Status list(const char* key, const char* flag_name, std::vector<std::string>& value) {
    return take(key, flag_name, [&](const json::Object& object) -> Status {
      ASSIGN_OR_RETURN(value, json::get_strings(object, key));
      return {};
    });
  }

  const CLI::App& app_;
  json::Object object_;  // what has not been taken yet
  const std::string path_;
};

Status read_config_file(const CLI::App& app, DaemonOptions& options, Texts& texts) {
  auto text = read_file(options.config_file);
  if (!text && text.error().code == Code::kNotFound && app.count("--config-file") == 0) return {};
  if (!text) return tl::unexpected(std::move(text).error().wrap("configuration file"));
  auto object = json::parse_object(*text);
  if (!object) {
    return tl::unexpected(std::move(object).error().wrap(
        fmt::format("configuration file \"{}\"", options.config_file)));
  }
  return ConfigFile(app, std::move(*object), options.config_file).apply(options, texts);
}

// A copy of the data root must not hold both the secrets and their key; and the exec root is gone
// after a reboot.
Status check_key_file(const DaemonOptions& options) {
  const auto& file = options.secrets_key_file;
  if (!file.starts_with('/') || file.ends_with('/'))
    return fail(Code::kInvalidArgument, "--secrets-key-file: \"{}\" is no absolute path of a file",
                file);
  std::string clean = std::filesystem::path(file).lexically_normal();
  for (const auto* root : {&options.data_root, &options.exec_root}) {
    std::string inside = (std::filesystem::path(*root) / "").lexically_normal();
    if (clean.starts_with(inside)) {
      return fail(Code::kInvalidArgument,
                  "--secrets-key-file: \"{}\" lies in \"{}\": the key belongs outside of data root "
                  "and exec root",
                  file, *root);
    }
  }
  return {};
}

}  // namespace

Result<ParsedOptions> parse_options(int argc, char** argv) {
  CLI::App app("holdfastd, a container engine that keeps data", "holdfastd");
  ParsedOptions parsed;
  auto& options = parsed.options;
  Texts texts;
  declare(app, options, texts);
  app.set_version_flag("-v,--version", "holdfastd " HOLDFAST_VERSION);
  // CLI11 reports by throwing: the one seam of this program.
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    parsed.printed = app.help();
    return parsed;
  } catch (const CLI::CallForVersion&) {
    parsed.printed = "holdfastd " HOLDFAST_VERSION "\n";
    return parsed;
  } catch (const CLI::ParseError& error) {
    return fail(Code::kInvalidArgument, "{}", error.what());
  }
  RETURN_IF_ERROR(read_config_file(app, options, texts));
  if (texts.debug) options.log_level = log::Level::kDebug;
  if (!texts.level.empty()) {
    ASSIGN_OR_RETURN(options.log_level, parse_level(texts.level));
  }
  for (const auto& pool : texts.pools) {
    ASSIGN_OR_RETURN(auto parsed_pool, parse_pool(pool));
    options.address_pools.push_back(std::move(parsed_pool));
  }
  if (options.mount_timeout < 1 || options.mount_timeout > 86400)
    return fail(Code::kInvalidArgument, "--mount-timeout takes 1 to 86400 seconds");
  for (const auto& root : texts.bind_roots) RETURN_IF_ERROR(check_bind_root(root));
  if (texts.binds_limited || !texts.bind_roots.empty())
    options.bind_policy = BindPolicy(std::move(texts.bind_roots), options.config_file);
  if (options.hosts.empty()) options.hosts = {kDefaultHost};
  for (auto* path : {&options.data_root, &options.exec_root}) {
    if (!path->starts_with('/'))
      return fail(Code::kInvalidArgument, "\"{}\" is no absolute path", *path);
    while (path->size() > 1 && path->ends_with('/')) path->pop_back();
  }
  RETURN_IF_ERROR(check_key_file(options));
  return parsed;
}

}  // namespace holdfast
