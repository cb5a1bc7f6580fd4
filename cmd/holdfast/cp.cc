#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

#include "base/base64.h"
#include "base/size_text.h"
#include "client/copy_paths.h"
#include "client/tar/tar_extract.h"
#include "client/tar/tar_writer.h"
#include "client/terminal.h"
#include "image_transfer.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

using client::CopyArgument;
using client::CopyEnd;
using client::url_escape;

struct CpOptions {
  bool archive = false, follow = false, quiet = false;
};

// Go's os.FileMode bits, as X-Docker-Container-Path-Stat carries them.
constexpr std::int64_t kModeDirectory = 1LL << 31;
constexpr std::int64_t kModeSymlink = 1LL << 27;

std::string archive_route(const std::string& container) {
  return fmt::format("/containers/{}/archive", url_escape(container));
}

// What the daemon says of a path in a container.
Result<json::Object> decode_stat(const client::Response& response) {
  ASSIGN_OR_RETURN(auto text, base64_decode(response.header("X-Docker-Container-Path-Stat")));
  return json::parse_object(text);
}

Result<json::Object> stat_path(Cli& cli, const std::string& container, const std::string& path) {
  client::Request request;
  request.method = "HEAD";
  auto response = cli.engine().open(std::move(request), archive_route(container), {{"path", path}});
  if (!response && response.error().code == Code::kNotFound)
    return fail(Code::kNotFound,
                "Error response from daemon: Could not find the file {} in container {}", path,
                container);
  if (!response) return tl::unexpected(std::move(response).error());
  return decode_stat(*response);
}

std::string absolute(const std::string& path) {
  if (path.starts_with('/')) return path;
  auto joined = std::filesystem::current_path().string() + "/" + path;
  bool keeps_slash = path.ends_with('/');
  bool keeps_dot = path == "." || path.ends_with("/.");
  auto clean = std::filesystem::path(joined).lexically_normal().string();
  while (clean.size() > 1 && clean.ends_with('/')) clean.pop_back();
  return clean + (keeps_dot ? "/." : keeps_slash ? "/" : "");
}

// A symlink's target as an absolute path in the container.
std::string link_target(const json::Object& stat, const std::string& path) {
  std::string target = json::string_or(stat, "linkTarget");
  if (target.starts_with('/')) return target;
  auto joined = client::split_path_entry(path).directory + "/" + target;
  return std::filesystem::path(joined).lexically_normal().string();
}

void report(Cli& cli, const CpOptions& options, std::uint64_t bytes, const std::string& where) {
  if (!options.quiet && client::is_terminal(client::kStdout))
    cli.err(fmt::format("Successfully copied {} to {}\n", human_size(static_cast<double>(bytes), 3),
                        where));
}

Result<int> from_container(Cli& cli, const CpOptions& options, CopyArgument source,
                           const std::string& destination) {
  std::string path = source.path;
  std::string rebase;
  if (options.follow) {
    ASSIGN_OR_RETURN(auto stat, stat_path(cli, source.container, path));
    if (json::int_or(stat, "mode") & kModeSymlink) {
      rebase = client::split_path_entry(path).base;
      path = link_target(stat, path);
    }
  }
  ASSIGN_OR_RETURN(auto response,
                   cli.engine().open({}, archive_route(source.container), {{"path", path}}));
  if (destination == "-") {
    RETURN_IF_ERROR(save_body(cli, std::move(response), ""));
    return 0;
  }
  ASSIGN_OR_RETURN(auto stat, decode_stat(response));
  CopyEnd from{path, true, (json::int_or(stat, "mode") & kModeDirectory) != 0, ""};
  ASSIGN_OR_RETURN(auto to, client::local_destination(absolute(destination)));
  ASSIGN_OR_RETURN(auto plan, client::plan_copy(from, to));
  // A followed link's contents arrive under the target's name and are kept under the link's.
  if (!rebase.empty() && plan.old_base == plan.new_base) {
    plan.old_base = client::split_path_entry(path).base;
    plan.new_base = rebase;
  }
  std::uint64_t bytes = 0;
  client::TarReader archive([&](char* buffer, std::size_t size) -> Result<std::size_t> {
    ASSIGN_OR_RETURN(auto got, response.read(buffer, size));
    bytes += got;
    return got;
  });
  RETURN_IF_ERROR(client::extract_tar(archive, plan.directory,
                                      [&](const std::string& name) { return plan.rename(name); }));
  report(cli, options, bytes, absolute(destination));
  return 0;
}

// The destination in the container, its symlinks resolved one step as Docker does; the daemon
// resolves the rest.
Result<CopyEnd> container_destination(Cli& cli, const CopyArgument& destination) {
  CopyEnd to{destination.path, false, false, ""};
  auto stat = stat_path(cli, destination.container, destination.path);
  if (stat && (json::int_or(*stat, "mode") & kModeSymlink)) {
    to.path = link_target(*stat, destination.path);
    stat = stat_path(cli, destination.container, to.path);
  }
  if (stat) {
    to.exists = true;
    to.is_directory = (json::int_or(*stat, "mode") & kModeDirectory) != 0;
  } else if (stat.error().code == Code::kUnavailable) {
    return tl::unexpected(std::move(stat).error());
  }
  // Whatever else is wrong with it, the daemon says better when the copy is tried.
  return to;
}

Result<int> to_container(Cli& cli, const CpOptions& options, const std::string& source,
                         const CopyArgument& destination) {
  ASSIGN_OR_RETURN(auto to, container_destination(cli, destination));
  client::Request request;
  request.method = "PUT";
  request.headers.emplace_back("Content-Type", "application/x-tar");
  std::string directory = to.path;
  std::uint64_t bytes = 0;
  if (source == "-") {
    if (!to.is_directory)
      return fail(Code::kInvalidArgument, "destination \"{}:{}\" must be a directory",
                  destination.container, destination.path);
    ASSIGN_OR_RETURN(request.source, open_source(""));
  } else {
    ASSIGN_OR_RETURN(auto from, client::local_source(absolute(source), options.follow));
    ASSIGN_OR_RETURN(auto plan, client::plan_copy(from, to));
    directory = plan.directory;
    auto base =
        from.rebase_name.empty() ? client::split_path_entry(from.path).base : from.rebase_name;
    auto writer = std::make_shared<client::TarWriter>(
        std::filesystem::path(from.path).lexically_normal().string(), plan.rename(base));
    request.source = [writer, &bytes](char* buffer, std::size_t size) -> Result<std::size_t> {
      ASSIGN_OR_RETURN(auto got, writer->read(buffer, size));
      bytes += got;
      return got;
    };
  }
  Query query{{"path", directory}, {"noOverwriteDirNonDir", "true"}};
  if (options.archive) query.emplace_back("copyUIDGID", "true");
  RETURN_IF_ERROR(
      cli.engine().open(std::move(request), archive_route(destination.container), query));
  if (source != "-")
    report(cli, options, bytes, fmt::format("{}:{}", destination.container, destination.path));
  return 0;
}

Result<int> copy(Cli& cli, const CpOptions& options, const Arguments& arguments) {
  if (arguments[0].empty() || arguments[1].empty())
    return fail(Code::kInvalidArgument, "{} can not be empty",
                arguments[0].empty() ? "source" : "destination");
  auto source = client::split_copy_argument(arguments[0]);
  auto destination = client::split_copy_argument(arguments[1]);
  if (!source.container.empty() && !destination.container.empty())
    return fail(Code::kInvalidArgument, "copying between containers is not supported");
  if (!source.container.empty()) return from_container(cli, options, source, destination.path);
  if (!destination.container.empty()) return to_container(cli, options, source.path, destination);
  return fail(Code::kInvalidArgument, "must specify at least one container source");
}

}  // namespace

Command cp_command() {
  auto options = std::make_shared<CpOptions>();
  Command command;
  command.arguments =
      "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tholdfast cp [OPTIONS] SRC_PATH|- "
      "CONTAINER:DEST_PATH";
  command.summary =
      "Copy files/folders between a container and the local filesystem\n\nUse '-' as the source to "
      "read a tar archive from stdin\nand extract it to a directory destination in a container.\n"
      "Use '-' as the destination to stream a tar archive of a\ncontainer source to stdout.";
  command.examples =
      "  holdfast cp web:/etc/nginx/nginx.conf .\n"
      "  holdfast cp ./site/. web:/usr/share/nginx/html    # what is in site, not site itself\n"
      "  holdfast cp db:/var/lib/postgresql/data - | zstd > data.tar.zst\n";
  command.min_arguments = command.max_arguments = 2;
  command.flags.flag("archive", 'a', options->archive,
                     "Archive mode (copy all uid/gid information)");
  command.flags.flag("follow-link", 'L', options->follow, "Always follow symbol link in SRC_PATH");
  command.flags.flag("quiet", 'q', options->quiet, "Suppress progress output during copy");
  command.run = [options](Cli& cli, const Arguments& arguments) {
    return copy(cli, *options, arguments);
  };
  return command;
}

}  // namespace holdfast::cli
