#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace holdfast::client {

// The files TLS needs and whether the server has to prove who it is.
struct TlsFiles {
  std::string ca;
  std::string certificate;
  std::string key;
  bool verify = true;
};

// Where a daemon listens: unix:///path, or tcp://host:port with or without TLS.
struct Endpoint {
  std::string text;  // as the user wrote it, for messages
  std::string path;  // unix only
  std::string host;  // tcp only
  std::string port;
  std::optional<TlsFiles> tls;

  bool is_unix() const { return !path.empty(); }
};

constexpr std::string_view kDefaultHost = "unix:///run/holdfast/holdfast.sock";

// kInvalidArgument for what is neither "unix://", "tcp://", "http(s)://" nor a bare "host:port".
Result<Endpoint> parse_endpoint(std::string_view text);

// What the global options say; empty or unset means not given.
struct EndpointOptions {
  std::string host;
  bool tls = false;
  std::optional<bool> tls_verify;
  std::string ca, certificate, key;
};

using Environment = std::map<std::string, std::string>;

// The endpoint to use: --host, else HOLDFAST_HOST, else DOCKER_HOST, else kDefaultHost; TLS by the
// options or by DOCKER_TLS, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH (default: `config_directory`).
Result<Endpoint> choose_endpoint(const EndpointOptions& options, const Environment& environment,
                                 const std::string& config_directory);

}  // namespace holdfast::client
