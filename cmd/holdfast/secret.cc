// secret create, ls, rm; inspect is in inspect.cc.
#include <algorithm>
#include <memory>

#include "base/base64.h"
#include "base/file.h"
#include "client/run/value_specs.h"
#include "client/terminal.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

using client::url_escape;

struct CreateOptions {
  std::vector<std::string> labels;
  std::string driver, template_driver;
};

Result<std::string> read_content(const std::string& name) {
  auto failed = [&](const std::string& why) {
    return fail(Code::kInvalidArgument, "error reading from {}: {}", name == "-" ? "STDIN" : name,
                why);
  };
  auto content = name == "-" ? read_all(client::kStdin) : read_file(name);
  if (!content) return failed(content.error().message);
  if (content->empty()) return failed("data is empty");
  return content;
}

Result<int> create_secret(Cli& cli, const CreateOptions& options, const Arguments& arguments) {
  json::Object body{{"Name", arguments[0]}, {"Labels", client::pairs_to_object(options.labels)}};
  if (!options.driver.empty()) body["Driver"] = json::Object{{"Name", options.driver}};
  if (!options.template_driver.empty())
    body["Templating"] = json::Object{{"Name", options.template_driver}};
  if (options.driver.empty()) {
    if (arguments.size() < 2) return fail(Code::kInvalidArgument, "secret file is required");
    ASSIGN_OR_RETURN(auto content, read_content(arguments[1]));
    body["Data"] = base64_encode(content);
  } else if (arguments.size() > 1) {
    return fail(Code::kInvalidArgument, "When using secret driver secret data must be empty");
  }
  ASSIGN_OR_RETURN(auto answer, cli.engine().post("/secrets/create", {}, body));
  if (answer.is_object()) cli.out(json::string_or(answer.get_object(), "ID") + "\n");
  return 0;
}

std::string age_of(const json::Object& secret, std::string_view key) {
  auto time = parse_rfc3339(json::string_or(secret, key));
  return time ? ago(*time) : "";
}

client::TemplateData secret_row(const json::Object& secret) {
  const auto& spec = json::object_or_empty(secret, "Spec");
  const auto& labels = json::object_or_empty(spec, "Labels");
  return make_row({{"ID", json::string_or(secret, "ID")},
                   {"Name", json::string_or(spec, "Name")},
                   {"Driver", json::string_or(json::object_or_empty(spec, "Driver"), "Name")},
                   {"CreatedAt", age_of(secret, "CreatedAt")},
                   {"UpdatedAt", age_of(secret, "UpdatedAt")},
                   {"Labels", pairs_text(labels)}},
                  labels);
}

std::string name_of(const json::Object& secret) {
  return json::string_or(json::object_or_empty(secret, "Spec"), "Name");
}

}  // namespace

Command secret_create_command() {
  auto options = std::make_shared<CreateOptions>();
  Command command;
  command.arguments = "[OPTIONS] SECRET [file|-]";
  command.summary = "Create a secret from a file or STDIN as content";
  command.examples =
      "  holdfast secret create db_password password.txt\n"
      "  openssl rand -base64 24 | holdfast secret create --label app=web session_key -\n"
      "  holdfast run --secret db_password postgres     # reads /run/secrets/db_password\n";
  command.min_arguments = 1;
  command.max_arguments = 2;
  command.flags.add(
      {"label", 'l', "list", "Secret labels", [options](std::string_view value) -> Status {
         RETURN_IF_ERROR(client::check_label(value));
         options->labels.emplace_back(value);
         return {};
       }});
  command.flags.flag("driver", 'd', options->driver, "Secret driver");
  command.flags.flag("template-driver", 0, options->template_driver, "Template driver");
  command.run = [options](Cli& cli, const Arguments& arguments) {
    return create_secret(cli, *options, arguments);
  };
  return command;
}

Command secret_ls_command() {
  struct Options {
    bool quiet = false;
    std::string format;
    wire::Filters filters;
  };
  auto options = std::make_shared<Options>();
  Command command;
  command.arguments = "[OPTIONS]";
  command.summary = "List secrets";
  add_filter_flag(command.flags, 'f', options->filters);
  add_format_flag(command.flags, 0, options->format);
  command.flags.flag("quiet", 'q', options->quiet, "Only display IDs");
  command.run = [options](Cli& cli, const Arguments&) -> Result<int> {
    Query query;
    add_filters(query, options->filters);
    ASSIGN_OR_RETURN(auto answer, cli.engine().get("/secrets", query));
    std::vector<const json::Object*> secrets;
    if (answer.is_array())
      for (const auto& secret : answer.get_array())
        if (secret.is_object()) secrets.push_back(&secret.get_object());
    std::sort(secrets.begin(), secrets.end(), [](const json::Object* a, const json::Object* b) {
      return name_of(*a) < name_of(*b);
    });
    std::vector<client::TemplateData> rows;
    for (const auto* secret : secrets) rows.push_back(secret_row(*secret));
    client::ListFormat list;
    list.table = "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.CreatedAt}}\t{{.UpdatedAt}}";
    list.quiet = "{{.ID}}";
    list.headings = {{"ID", "ID"},
                     {"Name", "NAME"},
                     {"Driver", "DRIVER"},
                     {"CreatedAt", "CREATED"},
                     {"UpdatedAt", "UPDATED"},
                     {"Labels", "LABELS"}};
    std::string format = options->format.empty() && !options->quiet
                             ? cli.config().text("secretFormat")
                             : options->format;
    RETURN_IF_ERROR(print_list(cli, format, options->quiet, list, std::move(rows)));
    return 0;
  };
  return command;
}

Command secret_rm_command() {
  Command command;
  command.arguments = "SECRET [SECRET...]";
  command.summary = "Remove one or more secrets";
  command.min_arguments = 1;
  command.max_arguments = kAnyNumber;
  command.run = [](Cli& cli, const Arguments& arguments) -> Result<int> {
    return for_each_target(cli, arguments, [&](const std::string& name) -> Status {
      RETURN_IF_ERROR(cli.engine().remove("/secrets/" + url_escape(name)));
      return {};
    });
  };
  return command;
}

}  // namespace holdfast::cli
