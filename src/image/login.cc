#include <unistd.h>

#include "base/file.h"
#include "base/random.h"
#include "image/images_impl.h"
#include "image/registry.h"

namespace holdfast::image {
namespace {

constexpr std::string_view kHubAddress = "https://index.docker.io/v1/";

// "https://host:port/v2/" as skopeo wants it: the host alone.
std::string registry_host(std::string_view server) {
  if (server.empty() || server == kHubAddress) return "docker.io";
  if (auto scheme = server.find("://"); scheme != std::string_view::npos)
    server.remove_prefix(scheme + 3);
  return std::string(server.substr(0, server.find('/')));
}

// Removes what skopeo wrote of the credentials.
struct RemovedFile {
  std::string path;
  ~RemovedFile() { (void)remove_file(path); }
};

}  // namespace

Status Images::check_credentials(std::string_view server, const Credentials& credentials) const {
  const auto& options = impl_->options;
  std::string host = registry_host(server);
  if (host.empty() || host.front() == '-')
    return fail(Code::kInvalidArgument, "invalid registry address \"{}\"", server);
  RemovedFile authfile{fmt::format("{}/tmp/login-{}.json", options.exec_root, random_hex(16))};
  RETURN_IF_ERROR(make_directories(options.exec_root + "/tmp", 0700));
  ProcessOptions process;
  process.argv = {"skopeo",          "login",      "--authfile",
                  authfile.path,     "--username", credentials.username,
                  "--password-stdin"};
  if (insecure(host, options.insecure_registries)) process.argv.emplace_back("--tls-verify=false");
  process.argv.emplace_back(host);
  ASSIGN_OR_RETURN(auto output,
                   run_command(process, credentials.password, std::chrono::seconds(30)));
  if (output.status.success()) return {};
  bool refused = output.err.find("invalid username/password") != std::string::npos ||
                 output.err.find("unauthorized") != std::string::npos ||
                 output.err.find("authentication required") != std::string::npos;
  if (refused) {
    return fail(Code::kUnauthenticated,
                "Get \"https://{}/v2/\": unauthorized: authentication required", host);
  }
  auto text = output.err.substr(0, output.err.find_last_not_of('\n') + 1);
  return fail(Code::kInternal, "login attempt to {} failed: {}", host, text);
}

}  // namespace holdfast::image
