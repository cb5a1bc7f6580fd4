#include <map>
#include <memory>

#include "base/size_text.h"
#include "client/image_reference.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

struct ImagesOptions {
  bool all = false, quiet = false, no_trunc = false, digests = false, tree = false;
  std::string format;
  wire::Filters filters;
};

// One line of the list: an image once for each of its names.
struct Line {
  std::string repository = "<none>", tag = "<none>", digest = "<none>";
};

// Docker's rule: a line for each tag; digests are lines of their own only where a repository has no
// tag, or beside each tag when they are asked for.
std::vector<Line> lines_of(const json::Object& image, bool show_digests) {
  std::map<std::string, std::vector<std::string>> tags, digests;
  for (const auto& text : json::strings_or_empty(image, "RepoTags")) {
    if (text == "<none>:<none>") continue;
    auto reference = client::parse_image_reference(text);
    if (reference) tags[reference->name].push_back(reference->tag);
  }
  for (const auto& text : json::strings_or_empty(image, "RepoDigests")) {
    if (text.starts_with("<none>")) continue;
    auto reference = client::parse_image_reference(text);
    if (reference) digests[reference->name].push_back(reference->digest);
  }
  std::vector<Line> lines;
  for (const auto& [name, names] : tags) {
    std::vector<std::string> beside = show_digests ? digests[name] : std::vector<std::string>{};
    digests.erase(name);
    for (const auto& tag : names) {
      if (beside.empty()) lines.push_back({name, tag, "<none>"});
      for (const auto& digest : beside) lines.push_back({name, tag, digest});
    }
  }
  for (const auto& [name, values] : digests) {
    if (!show_digests) lines.push_back({name, "<none>", "<none>"});
    if (show_digests)
      for (const auto& digest : values) lines.push_back({name, "<none>", digest});
  }
  if (lines.empty()) lines.emplace_back();
  return lines;
}

std::string size_or_unknown(const json::Object& image, std::string_view key) {
  auto size = json::int_or(image, key, -1);
  return size < 0 ? "N/A" : human_size(static_cast<double>(size), 3);
}

client::TemplateData image_row(const json::Object& image, const Line& line, bool truncate) {
  std::string id = json::string_or(image, "Id");
  auto created = json::int_or(image, "Created");
  auto containers = json::int_or(image, "Containers", -1);
  std::string size = human_size(static_cast<double>(json::int_or(image, "Size")), 3);
  return make_row(
      {{"ID", truncate ? short_id(id) : id},
       {"Repository", line.repository},
       {"Tag", line.tag},
       {"Digest", line.digest},
       {"CreatedSince", created <= 0 ? "N/A" : ago(Time(std::chrono::seconds(created)))},
       {"CreatedAt", created <= 0 ? "N/A" : local_time(created)},
       {"Size", size},
       {"VirtualSize", human_size(static_cast<double>(json::int_or(image, "Size")))},
       {"SharedSize", size_or_unknown(image, "SharedSize")},
       {"UniqueSize", "N/A"},
       {"Containers", containers < 0 ? "N/A" : fmt::format("{}", containers)}},
      json::object_or_empty(image, "Labels"));
}

client::ListFormat image_format(bool digests) {
  client::ListFormat list;
  list.table = digests
                   ? "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
                   : "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
  list.quiet = "{{.ID}}";
  list.headings = {{"ID", "IMAGE ID"},
                   {"Repository", "REPOSITORY"},
                   {"Tag", "TAG"},
                   {"Digest", "DIGEST"},
                   {"CreatedSince", "CREATED"},
                   {"CreatedAt", "CREATED AT"},
                   {"Size", "SIZE"},
                   {"VirtualSize", "SIZE"},
                   {"SharedSize", "SHARED SIZE"},
                   {"UniqueSize", "UNIQUE SIZE"},
                   {"Containers", "CONTAINERS"}};
  return list;
}

Result<int> list_images(Cli& cli, const ImagesOptions& options, const Arguments& arguments) {
  Query query;
  if (options.all) query.emplace_back("all", "1");
  wire::Filters filters = options.filters;
  if (!arguments.empty()) filters.emplace("reference", arguments[0]);
  add_filters(query, filters);
  ASSIGN_OR_RETURN(auto answer, cli.engine().get("/images/json", query));
  std::string format =
      options.format.empty() && !options.quiet ? cli.config().text("imagesFormat") : options.format;
  bool digests = options.digests || format.find(".Digest") != std::string::npos;
  std::vector<client::TemplateData> rows;
  for (const auto& image : answer.is_array() ? answer.get_array() : json::Array{}) {
    if (!image.is_object()) continue;
    auto lines = lines_of(image.get_object(), digests);
    // -q names an image once.
    if (options.quiet) lines.resize(1);
    for (const auto& line : lines)
      rows.push_back(image_row(image.get_object(), line, !options.no_trunc));
  }
  RETURN_IF_ERROR(
      print_list(cli, format, options.quiet, image_format(options.digests), std::move(rows)));
  return 0;
}

}  // namespace

Command images_command() {
  auto options = std::make_shared<ImagesOptions>();
  Command command;
  command.arguments = "[OPTIONS] [REPOSITORY[:TAG]]";
  command.summary = "List images";
  command.examples =
      "  holdfast images postgres                  # one repository\n"
      "  holdfast images --filter dangling=true -q # what image prune would remove\n";
  command.max_arguments = 1;
  command.flags.flag("all", 'a', options->all,
                     "Show all images (default hides intermediate images)");
  command.flags.flag("digests", 0, options->digests, "Show digests");
  add_filter_flag(command.flags, 'f', options->filters);
  add_format_flag(command.flags, 0, options->format);
  command.flags.flag("no-trunc", 0, options->no_trunc, "Don't truncate output");
  command.flags.flag("quiet", 'q', options->quiet, "Only show image IDs");
  command.run = [options](Cli& cli, const Arguments& arguments) {
    return list_images(cli, *options, arguments);
  };
  return command;
}

}  // namespace holdfast::cli
