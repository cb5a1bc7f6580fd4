#include "cli.h"

#include <algorithm>
#include <ctime>
#include <iostream>
#include <map>

#include "base/file.h"
#include "client/terminal.h"
#include "wire/duration_text.h"

namespace holdfast::cli {

void Cli::out(std::string_view text) {
  buffer_.append(text);
  if (buffer_.size() > (64 << 10)) flush();
}

void Cli::err(std::string_view text) {
  flush();
  (void)write_all(client::kStderr, text);
}

void Cli::flush() {
  (void)write_all(client::kStdout, buffer_);
  buffer_.clear();
}

int for_each_target(Cli& cli, const Arguments& targets,
                    const std::function<Status(const std::string&)>& action, bool echo) {
  int code = 0;
  for (const auto& target : targets) {
    if (auto status = action(target); !status) {
      cli.err(status.error().message + "\n");
      code = 1;
    } else if (echo) {
      cli.out(target + "\n");
      cli.flush();
    }
  }
  return code;
}

Status print_list(Cli& cli, std::string_view format, bool quiet, const client::ListFormat& list,
                  std::vector<client::TemplateData> rows) {
  ASSIGN_OR_RETURN(auto text, client::render_list(format, quiet, list, std::move(rows)));
  cli.out(text);
  return {};
}

void add_filter_flag(client::FlagSet& flags, char shorthand, wire::Filters& filters,
                     std::string_view help) {
  flags.add({"filter", shorthand, "filter", std::string(help),
             [&filters](std::string_view value) -> Status {
               if (value.empty()) return {};
               auto equals = value.find('=');
               if (equals == std::string_view::npos)
                 return fail(Code::kInvalidArgument, "bad format of filter (expected name=value)");
               auto trim = [](std::string_view text) {
                 while (text.starts_with(' ')) text.remove_prefix(1);
                 while (text.ends_with(' ')) text.remove_suffix(1);
                 return std::string(text);
               };
               std::string name = trim(value.substr(0, equals));
               std::transform(name.begin(), name.end(), name.begin(), [](char c) {
                 return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
               });
               filters.emplace(name, trim(value.substr(equals + 1)));
               return {};
             }});
}

void add_format_flag(client::FlagSet& flags, char shorthand, std::string& format) {
  flags.flag("format", shorthand, format,
             "Format output using a template:\n'table TEMPLATE': a table of one's own columns\n"
             "'json': one JSON object a line\n'TEMPLATE': a Go template such as '{{.ID}}'");
}

void add_filters(Query& query, const wire::Filters& filters) {
  if (!filters.empty()) query.emplace_back("filters", wire::encode_filters(filters));
}

bool confirm(Cli& cli, std::string_view question) {
  cli.out(question);
  cli.out(" [y/N] ");
  cli.flush();
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes" || answer == "YES";
}

Result<std::string> moment_parameter(std::string_view name, const std::string& text) {
  auto time = parse_moment(text, now());
  if (!time)
    return fail(Code::kInvalidArgument,
                "invalid value for \"{}\": failed to parse value as time or duration: \"{}\"", name,
                text);
  auto nanos = time->time_since_epoch().count();
  return fmt::format("{}.{:09}", nanos / 1'000'000'000, nanos % 1'000'000'000);
}

std::string short_id(std::string_view id) {
  if (auto colon = id.find(':'); colon != std::string_view::npos) id.remove_prefix(colon + 1);
  return std::string(id.substr(0, 12));
}

std::string local_time(std::int64_t unix_seconds) {
  std::time_t seconds = unix_seconds;
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  char text[64];
  std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %z %Z", &parts);
  return {text, length};
}

std::string ago(Time then) { return wire::human_duration(now() - then) + " ago"; }

std::string pairs_text(const json::Object& object) {
  std::map<std::string, std::string> sorted;
  for (const auto& [key, value] : object)
    sorted.emplace(key, value.is_string() ? std::string(value.get_string()) : "");
  std::string text;
  for (const auto& [key, value] : sorted)
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", key, value);
  return text;
}

client::TemplateData make_row(json::Object fields, const json::Object& labels) {
  client::TemplateData row;
  row.root = std::move(fields);
  row.methods["Label"] =
      [labels](const std::vector<json::Value>& arguments) -> Result<json::Value> {
    if (arguments.size() != 1 || !arguments[0].is_string())
      return fail(Code::kInvalidArgument, "wrong number of args for Label: want 1");
    return json::Value(json::string_or(labels, arguments[0].get_string()));
  };
  return row;
}

}  // namespace holdfast::cli
