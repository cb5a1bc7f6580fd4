#include "client/endpoint.h"

#include <array>

namespace holdfast::client {
namespace {

std::string lookup(const Environment& environment, const std::string& name) {
  auto entry = environment.find(name);
  return entry == environment.end() ? std::string() : entry->second;
}

Result<Endpoint> parse_tcp(std::string_view text, std::string_view address, bool secure) {
  Endpoint endpoint;
  endpoint.text = text;
  address = address.substr(0, address.find('/'));
  auto colon = address.rfind(':');
  bool bare_ipv6 = address.starts_with('[') && address.ends_with(']');
  if (colon != std::string_view::npos && !bare_ipv6) {
    endpoint.port = address.substr(colon + 1);
    address = address.substr(0, colon);
  }
  if (address.starts_with('[') && address.ends_with(']'))
    address = address.substr(1, address.size() - 2);
  endpoint.host = address.empty() ? "localhost" : std::string(address);
  if (endpoint.port.empty()) endpoint.port = secure ? "2376" : "2375";
  if (endpoint.port.find_first_not_of("0123456789") != std::string::npos)
    return fail(Code::kInvalidArgument, "invalid bind address format: {}", text);
  if (secure) endpoint.tls.emplace();
  return endpoint;
}

}  // namespace

Result<Endpoint> parse_endpoint(std::string_view text) {
  auto scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos) {
    if (text.empty() || text.starts_with('/'))
      return fail(Code::kInvalidArgument, "unable to parse docker host `{}`", text);
    return parse_tcp(text, text, false);
  }
  auto scheme = text.substr(0, scheme_end);
  auto rest = text.substr(scheme_end + 3);
  if (scheme == "unix") {
    Endpoint endpoint;
    endpoint.text = text;
    endpoint.path = rest.empty() ? kDefaultHost.substr(7) : rest;
    return endpoint;
  }
  if (scheme == "tcp" || scheme == "http") return parse_tcp(text, rest, false);
  if (scheme == "https") return parse_tcp(text, rest, true);
  return fail(Code::kInvalidArgument, "invalid bind address format: {}", text);
}

Result<Endpoint> choose_endpoint(const EndpointOptions& options, const Environment& environment,
                                 const std::string& config_directory) {
  std::string host = options.host;
  for (const char* name : {"HOLDFAST_HOST", "DOCKER_HOST"})
    if (host.empty()) host = lookup(environment, name);
  ASSIGN_OR_RETURN(auto endpoint, parse_endpoint(host.empty() ? kDefaultHost : host));
  if (endpoint.is_unix()) return endpoint;

  bool verify = options.tls_verify.value_or(!lookup(environment, "DOCKER_TLS_VERIFY").empty());
  bool wanted = options.tls || verify || !lookup(environment, "DOCKER_TLS").empty();
  if (!wanted && !endpoint.tls) return endpoint;
  TlsFiles files;
  files.verify = verify || (!wanted && endpoint.tls.has_value());
  std::string folder = lookup(environment, "DOCKER_CERT_PATH");
  if (folder.empty()) folder = config_directory;
  files.ca = options.ca.empty() ? folder + "/ca.pem" : options.ca;
  files.certificate = options.certificate.empty() ? folder + "/cert.pem" : options.certificate;
  files.key = options.key.empty() ? folder + "/key.pem" : options.key;
  endpoint.tls = files;
  if (host.find("://") != std::string::npos && endpoint.port == "2375" &&
      host.find(":2375") == std::string::npos)
    endpoint.port = "2376";
  return endpoint;
}

}  // namespace holdfast::client
