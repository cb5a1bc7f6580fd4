#include <fcntl.h>

#include <cstdlib>

#include "cli.h"
#include "client/endpoint.h"
#include "command.h"

namespace {

using namespace holdfast;

struct GlobalOptions {
  client::EndpointOptions endpoint;
  std::string config_directory;
  std::string context, log_level;
  bool debug = false, version = false;

  void add_to(client::FlagSet& flags) {
    flags.flag("host", 'H', endpoint.host,
               "Daemon socket to connect to (default $HOLDFAST_HOST, else $DOCKER_HOST, else "
               "unix:///run/holdfast/holdfast.sock)");
    flags.flag("config", 0, config_directory, "Location of client config files");
    flags.flag("tls", 0, endpoint.tls, "Use TLS; implied by --tlsverify");
    flags.flag("tlsverify", 0, endpoint.tls_verify, "Use TLS and verify the remote");
    flags.flag("tlscacert", 0, endpoint.ca, "Trust certs signed only by this CA");
    flags.flag("tlscert", 0, endpoint.certificate, "Path to TLS certificate file");
    flags.flag("tlskey", 0, endpoint.key, "Path to TLS key file");
    flags.flag("debug", 'D', debug, "Enable debug mode");
    flags.flag("log-level", 'l', log_level, "Accepted for compatibility");
    flags.flag("context", 'c', context, "Accepted for compatibility");
    flags.flag("version", 'v', version, "Print version information and quit");
    flags.hide("log-level");
    flags.hide("context");
  }
};

client::Environment environment() {
  client::Environment result;
  for (const char* name :
       {"HOLDFAST_HOST", "DOCKER_HOST", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"})
    if (const char* value = std::getenv(name)) result[name] = value;
  return result;
}

std::string config_directory(const GlobalOptions& options) {
  if (!options.config_directory.empty()) return options.config_directory;
  if (const char* directory = std::getenv("DOCKER_CONFIG"); directory && *directory)
    return directory;
  const char* home = std::getenv("HOME");
  return std::string(home ? home : "") + "/.docker";
}

// A standard stream that was closed would lend its number to the next file opened.
void fill_standard_streams() {
  for (int fd = 0; fd < 3; ++fd)
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) < 0) std::abort();
}

int complain(const std::string& message, int code) {
  fmt::print(stderr, "{}\n", message);
  return code;
}

int run(const std::vector<std::string>& arguments) {
  GlobalOptions options;
  client::FlagSet flags;
  options.add_to(flags);
  auto words = flags.parse(arguments, true);
  if (!words) {
    return complain(words.error().message +
                        "\n\nUsage:  holdfast [OPTIONS] COMMAND\n\n"
                        "Run 'holdfast --help' for more information",
                    125);
  }
  if (options.version) {
    fmt::print("Holdfast version {}\n", HOLDFAST_VERSION);
    return 0;
  }
  if (flags.help_wanted() || words->empty() || (*words)[0] == "help") {
    // "help COMMAND" is "COMMAND --help"
    if (flags.help_wanted() || words->size() < 2) {
      fmt::print("{}", cli::overview(flags.describe()));
      return 0;
    }
    words->erase(words->begin());
    words->push_back("--help");
  }
  std::string directory = config_directory(options);
  auto endpoint = client::choose_endpoint(options.endpoint, environment(), directory);
  if (!endpoint) return complain(endpoint.error().message, 1);
  auto config = client::DockerConfig::load(directory);
  if (!config)
    fmt::print(stderr, "WARNING: Error loading config file: {}\n", config.error().message);
  cli::Cli cli(client::EngineClient(std::move(*endpoint)),
               config ? std::move(*config) : client::DockerConfig());
  return cli::run_command_line(cli, *words);
}

}  // namespace

int main(int argc, char** argv) {
  fill_standard_streams();
  return run({argv + 1, argv + argc});
}
