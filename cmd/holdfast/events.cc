#include <ctime>
#include <map>
#include <memory>

#include "client/progress.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

struct EventsOptions {
  std::string since, until, format;
  wire::Filters filters;
};

// "2026-01-02T15:04:05.000000000+01:00": RFC 3339 in local time with all nine digits.
std::string event_time(std::int64_t nanos) {
  std::time_t seconds = nanos / 1'000'000'000;
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  char text[40];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  long offset = parts.tm_gmtoff / 60;
  std::string zone = offset == 0 ? "Z"
                                 : fmt::format("{}{:02}:{:02}", offset < 0 ? '-' : '+',
                                               std::abs(offset) / 60, std::abs(offset) % 60);
  return fmt::format("{}.{:09}{}", text, nanos % 1'000'000'000, zone);
}

std::string event_line(const json::Object& event) {
  const auto& actor = json::object_or_empty(event, "Actor");
  auto nanos = json::int_or(event, "timeNano", json::int_or(event, "time") * 1'000'000'000);
  std::string line = fmt::format("{} {} {} {}", event_time(nanos), json::string_or(event, "Type"),
                                 json::string_or(event, "Action"), json::string_or(actor, "ID"));
  std::map<std::string, std::string> attributes;
  for (const auto& [key, value] : json::object_or_empty(actor, "Attributes"))
    attributes.emplace(key, value.is_string() ? std::string(value.get_string()) : "");
  std::vector<std::string> parts;
  for (const auto& [key, value] : attributes) parts.push_back(fmt::format("{}={}", key, value));
  if (!parts.empty()) line += fmt::format(" ({})", fmt::join(parts, ", "));
  return line + "\n";
}

// The members under Go's names, which templates use.
json::Object template_fields(const json::Object& event) {
  json::Object fields = event;
  fields["Time"] = json::int_or(event, "time");
  fields["TimeNano"] = json::int_or(event, "timeNano");
  fields["Scope"] = json::string_or(event, "scope");
  fields["Status"] = json::string_or(event, "status");
  fields["ID"] = json::string_or(event, "id");
  fields["From"] = json::string_or(event, "from");
  return fields;
}

Result<int> follow_events(Cli& cli, const EventsOptions& options) {
  Query query;
  for (auto [name, text] :
       {std::pair{"since", &options.since}, std::pair{"until", &options.until}}) {
    if (text->empty()) continue;
    ASSIGN_OR_RETURN(auto moment, moment_parameter(name, *text));
    query.emplace_back(name, moment);
  }
  add_filters(query, options.filters);
  std::optional<client::Template> parsed;
  if (!options.format.empty() && options.format != "json") {
    auto made = client::Template::parse(options.format);
    if (!made)
      return tl::unexpected(std::move(made).error().wrap("Error parsing format: template"));
    parsed.emplace(std::move(*made));
  }
  bool raw = options.format.find("json .") != std::string::npos;
  ASSIGN_OR_RETURN(auto response, cli.engine().open({}, "/events", query));
  RETURN_IF_ERROR(client::for_each_json(response, [&](const json::Object& event) -> Status {
    if (options.format.empty()) {
      cli.out(event_line(event));
    } else if (options.format == "json") {
      cli.out(json::serialize(event) + "\n");
    } else {
      ASSIGN_OR_RETURN(auto line, parsed->execute(make_row(raw ? event : template_fields(event))));
      cli.out(line + "\n");
    }
    cli.flush();
    return {};
  }));
  return 0;
}

}  // namespace

Command events_command() {
  auto options = std::make_shared<EventsOptions>();
  Command command;
  command.arguments = "[OPTIONS]";
  command.summary = "Get real time events from the server";
  command.examples =
      "  holdfast events --filter type=volume\n"
      "  holdfast events --since 1h --until 0s --format '{{.Action}} {{.Actor.ID}}'\n";
  add_filter_flag(command.flags, 'f', options->filters);
  add_format_flag(command.flags, 0, options->format);
  command.flags.flag("since", 0, options->since, "Show all events created since timestamp");
  command.flags.flag("until", 0, options->until, "Stream events until this timestamp");
  command.run = [options](Cli& cli, const Arguments&) { return follow_events(cli, *options); };
  return command;
}

}  // namespace holdfast::cli
