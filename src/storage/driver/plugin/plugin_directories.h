#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace holdfast {

// Certificates for a plugin behind TLS; empty paths are not used.
struct PluginTls {
  bool skip_verify = false;  // InsecureSkipVerify
  std::string ca;            // CAFile; empty: the system's
  std::string certificate;   // CertFile
  std::string key;           // KeyFile
};

// Where a plugin listens.
struct PluginEndpoint {
  std::string name;
  std::string address;  // "unix:///run/docker/plugins/x.sock", "tcp://127.0.0.1:8080"
  std::string socket;   // path of its Unix socket; empty: TCP
  std::string host;     // without the brackets of an IPv6 address
  std::string port;
  std::optional<PluginTls> tls;
  std::string found_at;  // the file that says so
  // Differs when another server has taken its place: a socket made anew is another file.
  std::string identity;
};

// The directories in which plugins make themselves known, as for Docker: by a socket NAME.sock, by
// an address in NAME.spec, or by NAME.json with Addr and TLSConfig; each also one level down, as
// NAME/NAME.sock. Read anew at each call, so that a plugin counts from the moment it is there.
// Immutable; thread-safe.
class PluginDirectories {
 public:
  explicit PluginDirectories(std::vector<std::string> directories)
      : directories_(std::move(directories)) {}

  // A socket comes before a .spec, that before a .json, and an earlier directory before a later
  // one. kNotFound in Docker's words: `plugin "x" not found`; kInvalidArgument names the file that
  // makes no sense.
  Result<PluginEndpoint> find(const std::string& name) const;

  // The names of all, ordered. What can't be read has none.
  std::vector<std::string> names() const;

 private:
  std::vector<std::string> directories_;
};

// What may be the name of a plugin, and so part of a path: 1 to 255 of [a-zA-Z0-9_.-], the first a
// letter or digit.
bool is_plugin_name(std::string_view name);

// unix://PATH, tcp://HOST:PORT, http://HOST[:PORT], https://HOST[:PORT]. kInvalidArgument.
Result<PluginEndpoint> parse_plugin_address(const std::string& address);

}  // namespace holdfast
