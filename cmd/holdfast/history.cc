#include <memory>

#include "base/size_text.h"
#include "client/text_table.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

struct HistoryOptions {
  bool human = true, no_trunc = false, quiet = false;
  std::string format, platform;
};

client::TemplateData history_row(const json::Object& entry, const HistoryOptions& options) {
  std::string id = json::string_or(entry, "Id");
  std::string by = json::string_or(entry, "CreatedBy");
  for (char& c : by)
    if (c == '\t') c = ' ';
  auto created = json::int_or(entry, "Created");
  auto size = json::int_or(entry, "Size");
  std::string at = to_rfc3339(Time(std::chrono::seconds(created)));
  return make_row(
      {{"ID", options.no_trunc ? id : short_id(id)},
       {"CreatedAt", at},
       {"CreatedSince", options.human ? ago(Time(std::chrono::seconds(created))) : at},
       {"CreatedBy", options.no_trunc ? by : client::ellipsis(by, 45)},
       {"Size", options.human ? human_size(static_cast<double>(size), 3) : fmt::format("{}", size)},
       {"Comment", json::string_or(entry, "Comment")}});
}

}  // namespace

Command history_command() {
  auto options = std::make_shared<HistoryOptions>();
  Command command;
  command.arguments = "[OPTIONS] IMAGE";
  command.summary = "Show the history of an image";
  command.min_arguments = command.max_arguments = 1;
  add_format_flag(command.flags, 0, options->format);
  command.flags.flag("human", 'H', options->human,
                     "Print sizes and dates in human readable format");
  command.flags.flag("no-trunc", 0, options->no_trunc, "Don't truncate output");
  command.flags.flag("platform", 0, options->platform, "Show history for the given platform");
  command.flags.flag("quiet", 'q', options->quiet, "Only show image IDs");
  command.run = [options](Cli& cli, const Arguments& arguments) -> Result<int> {
    auto path = fmt::format("/images/{}/history", client::url_escape(arguments[0]));
    ASSIGN_OR_RETURN(auto answer, cli.engine().get(path));
    std::vector<client::TemplateData> rows;
    for (const auto& entry : answer.is_array() ? answer.get_array() : json::Array{})
      if (entry.is_object()) rows.push_back(history_row(entry.get_object(), *options));
    client::ListFormat list;
    list.table = "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
    list.quiet = "{{.ID}}";
    list.headings = {{"ID", "IMAGE"},
                     {"CreatedSince", options->human ? "CREATED" : "CREATED AT"},
                     {"CreatedAt", "CREATED AT"},
                     {"CreatedBy", "CREATED BY"},
                     {"Size", "SIZE"},
                     {"Comment", "COMMENT"}};
    RETURN_IF_ERROR(print_list(cli, options->format, options->quiet, list, std::move(rows)));
    return 0;
  };
  return command;
}

}  // namespace holdfast::cli
