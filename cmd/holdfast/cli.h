#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "client/docker_config.h"
#include "client/engine_client.h"
#include "client/flags.h"
#include "client/list_format.h"
#include "wire/filters.h"

namespace holdfast::cli {

using Arguments = std::vector<std::string>;
using client::Query;

// What every command works with: the daemon, the user's configuration, and output. main() owns it.
class Cli {
 public:
  Cli(client::EngineClient engine, client::DockerConfig config)
      : engine_(std::move(engine)), config_(std::move(config)) {}
  ~Cli() { flush(); }
  Cli(const Cli&) = delete;
  Cli& operator=(const Cli&) = delete;

  client::EngineClient& engine() { return engine_; }
  client::DockerConfig& config() { return config_; }

  // Standard output is buffered until flush(), err() or the end.
  void out(std::string_view text);
  void err(std::string_view text);
  void flush();

 private:
  client::EngineClient engine_;
  client::DockerConfig config_;
  std::string buffer_;
};

// Runs `action` on each target; prints the target's name after success if `echo`. Errors are
// reported and don't keep the others from being tried. The exit code: 1 if any failed.
int for_each_target(Cli& cli, const Arguments& targets,
                    const std::function<Status(const std::string&)>& action, bool echo = true);

// Prints a list command's rows.
Status print_list(Cli& cli, std::string_view format, bool quiet, const client::ListFormat& list,
                  std::vector<client::TemplateData> rows);

// Adds -f/--filter (or --filter alone).
void add_filter_flag(client::FlagSet& flags, char shorthand, wire::Filters& filters,
                     std::string_view help = "Filter output based on conditions provided");
void add_format_flag(client::FlagSet& flags, char shorthand, std::string& format);

// The same as a query parameter, if there are any.
void add_filters(Query& query, const wire::Filters& filters);

// Asks a yes-or-no question on the terminal; no input is no.
bool confirm(Cli& cli, std::string_view question);

// ?since= and ?until= of logs and events: RFC 3339 or a duration back from now, as Unix seconds.
// kInvalidArgument for anything else.
Result<std::string> moment_parameter(std::string_view name, const std::string& text);

// "12 characters of an id", without "sha256:".
std::string short_id(std::string_view id);
// "2026-01-02 15:04:05 +0100 CET", as Go prints a local time.
std::string local_time(std::int64_t unix_seconds);
// "5 minutes ago"
std::string ago(Time then);
// "a=1,b=2" of a map of strings.
std::string pairs_text(const json::Object& object);
// A row whose {{.Label "name"}} reads `labels`.
client::TemplateData make_row(json::Object fields, const json::Object& labels = {});

}  // namespace holdfast::cli
