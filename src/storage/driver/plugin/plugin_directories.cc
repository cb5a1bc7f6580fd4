#include "storage/driver/plugin/plugin_directories.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/file.h"
#include "base/json.h"
#include "storage/copy/directory_reader.h"

namespace holdfast {
namespace {

constexpr std::size_t kMaxSpecification = 64 << 10;

enum class Kind { kSocket, kSpec, kJson };
struct KindName {
  Kind kind;
  std::string_view suffix;
};
constexpr std::array kKinds = {KindName{Kind::kSocket, ".sock"}, KindName{Kind::kSpec, ".spec"},
                               KindName{Kind::kJson, ".json"}};

std::string trimmed(const std::string& text) {
  auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

// Whether there is such a file of the right type; symlinks are the administrator's and followed.
bool is_there(BorrowedFd directory, const std::string& path, Kind kind) {
  struct stat status = {};
  if (::fstatat(directory.get(), path.c_str(), &status, 0) != 0) return false;
  return kind == Kind::kSocket ? S_ISSOCK(status.st_mode) : S_ISREG(status.st_mode);
}

Result<PluginEndpoint> read_spec(const std::string& text) {
  return parse_plugin_address(trimmed(text));
}

Result<PluginEndpoint> read_json(const std::string& text) {
  ASSIGN_OR_RETURN(auto object, json::parse_object(text));
  ASSIGN_OR_RETURN(auto address, json::get_string(object, "Addr"));
  ASSIGN_OR_RETURN(auto endpoint, parse_plugin_address(address));
  ASSIGN_OR_RETURN(auto given, json::get_object(object, "TLSConfig"));
  PluginTls tls;
  ASSIGN_OR_RETURN(tls.skip_verify, json::get_bool(given, "InsecureSkipVerify"));
  ASSIGN_OR_RETURN(tls.ca, json::get_string(given, "CAFile"));
  ASSIGN_OR_RETURN(tls.certificate, json::get_string(given, "CertFile"));
  ASSIGN_OR_RETURN(tls.key, json::get_string(given, "KeyFile"));
  bool files = !tls.ca.empty() || !tls.certificate.empty() || !tls.key.empty();
  bool plain = endpoint.address.starts_with("http://") || !endpoint.socket.empty();
  if (endpoint.tls || (files && !plain)) endpoint.tls = std::move(tls);
  return endpoint;
}

// A FIFO in place of the file must not stop us: it was a regular file a moment ago.
Result<std::string> read_specification(const std::string& path) {
  ASSIGN_OR_RETURN(auto file, open_file(path, O_RDONLY | O_NONBLOCK));
  return read_all(file, kMaxSpecification);
}

Result<PluginEndpoint> read_endpoint(const std::string& path, Kind kind) {
  if (kind == Kind::kSocket) return parse_plugin_address("unix://" + path);
  auto text = read_specification(path);
  if (!text) return tl::unexpected(std::move(text).error());
  auto endpoint = kind == Kind::kSpec ? read_spec(*text) : read_json(*text);
  if (!endpoint)
    return tl::unexpected(
        std::move(endpoint).error().wrap(fmt::format("plugin specification \"{}\"", path)));
  endpoint->identity = *text;
  return endpoint;
}

// Which server it is: a socket that was made anew has another inode or time of birth.
void add_identity(PluginEndpoint& endpoint) {
  struct stat status = {};
  if (endpoint.socket.empty() || ::stat(endpoint.socket.c_str(), &status) != 0) return;
  endpoint.identity += fmt::format(" {}:{}:{}.{}", status.st_dev, status.st_ino,
                                   status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
}

void add_names(BorrowedFd directory, bool nested, const std::string& only,
               std::set<std::string>& names) {
  auto readable = open_directory(directory, "");
  if (!readable) return;
  while (true) {
    auto batch = read_batch(*readable);
    if (!batch || !*batch) return;
    while (auto entry = (*batch)->next()) {
      std::string file = entry->name;
      for (const auto& [kind, suffix] : kKinds) {
        if (!file.ends_with(suffix)) continue;
        std::string name = file.substr(0, file.size() - suffix.size());
        if (is_plugin_name(name) && (only.empty() || name == only) &&
            is_there(directory, file, kind))
          names.insert(name);
      }
      if (nested || !is_plugin_name(file)) continue;
      if (auto below = open_file_at(directory, file, O_PATH | O_DIRECTORY))
        add_names(*below, true, file, names);
    }
  }
}

}  // namespace

bool is_plugin_name(std::string_view name) {
  auto alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  if (name.empty() || name.size() > 255 || !alphanumeric(name[0])) return false;
  return std::all_of(name.begin(), name.end(),
                     [&](char c) { return alphanumeric(c) || c == '_' || c == '.' || c == '-'; });
}

Result<PluginEndpoint> parse_plugin_address(const std::string& address) {
  auto malformed = [&] {
    return fail(Code::kInvalidArgument,
                "address \"{}\": give unix://PATH, tcp://HOST:PORT or https://HOST:PORT", address);
  };
  PluginEndpoint endpoint;
  endpoint.address = address;
  endpoint.identity = address;
  auto end = address.find("://");
  if (end == std::string::npos) return malformed();
  std::string scheme = address.substr(0, end), rest = address.substr(end + 3);
  if (scheme == "unix") {
    if (!rest.starts_with('/') || rest.find('\0') != std::string::npos) return malformed();
    endpoint.socket = rest;
    return endpoint;
  }
  if (scheme != "tcp" && scheme != "http" && scheme != "https") return malformed();
  rest = rest.substr(0, rest.find('/'));
  auto colon = rest.rfind(':');
  bool bracketed = rest.starts_with('[');
  if (bracketed && colon < rest.find(']')) colon = std::string::npos;
  endpoint.host = rest.substr(0, colon);
  if (colon != std::string::npos) endpoint.port = rest.substr(colon + 1);
  if (bracketed) {
    if (!endpoint.host.ends_with(']')) return malformed();
    endpoint.host = endpoint.host.substr(1, endpoint.host.size() - 2);
  }
  if (endpoint.port.empty() && scheme != "tcp") endpoint.port = scheme == "http" ? "80" : "443";
  bool number = !endpoint.port.empty() && endpoint.port.size() <= 5 &&
                endpoint.port.find_first_not_of("0123456789") == std::string::npos;
  if (endpoint.host.empty() || !number || std::stoi(endpoint.port) > 65535) return malformed();
  if (scheme == "https") endpoint.tls = PluginTls{};
  return endpoint;
}

Result<PluginEndpoint> PluginDirectories::find(const std::string& name) const {
  for (const auto& [kind, suffix] : kKinds) {
    if (!is_plugin_name(name)) break;
    for (const auto& directory : directories_) {
      auto opened = open_file(directory, O_PATH | O_DIRECTORY);
      if (!opened) continue;
      std::string file = name + std::string(suffix);
      for (const auto& path : {file, name + "/" + file}) {
        if (!is_there(*opened, path, kind)) continue;
        ASSIGN_OR_RETURN(auto endpoint, read_endpoint(directory + "/" + path, kind));
        endpoint.name = name;
        endpoint.found_at = directory + "/" + path;
        add_identity(endpoint);
        return endpoint;
      }
    }
  }
  return fail(Code::kNotFound, "plugin \"{}\" not found", name);
}

std::vector<std::string> PluginDirectories::names() const {
  std::set<std::string> names;
  for (const auto& directory : directories_) {
    if (auto opened = open_file(directory, O_PATH | O_DIRECTORY))
      add_names(*opened, false, "", names);
  }
  return {names.begin(), names.end()};
}

}  // namespace holdfast
