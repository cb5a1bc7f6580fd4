#include "image_transfer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/file.h"
#include "base/random.h"
#include "client/progress.h"
#include "client/terminal.h"
#include "wire/registry_auth.h"

namespace holdfast::cli {

Result<client::Headers> registry_headers(Cli& cli, const client::ImageReference& image) {
  auto auth = cli.config().auth_for(image.registry());
  // A broken credential helper must not keep public images from being pulled.
  if (!auth) cli.err(fmt::format("WARNING: {}\n", auth.error().message));
  wire::RegistryAuth found = auth.value_or(wire::RegistryAuth{});
  return client::Headers{{"X-Registry-Auth", wire::encode_registry_auth(found)}};
}

Status show_progress(Cli& cli, client::Response response, ProgressTo where,
                     const std::function<void(const json::Object&)>& each) {
  BorrowedFd out = where == ProgressTo::kStderr ? client::kStderr : client::kStdout;
  cli.flush();
  auto size = client::is_terminal(out) ? client::window_size(out) : std::nullopt;
  unsigned columns = size ? std::max(size->columns, 1U) : client::is_terminal(out) ? 80U : 0U;
  client::ProgressDisplay display(
      [&](std::string_view text) {
        if (where != ProgressTo::kNowhere) (void)write_all(out, text);
      },
      columns);
  return client::for_each_json(response, [&](const json::Object& message) -> Status {
    if (each) each(message);
    return display.show(message);
  });
}

Status pull_image(Cli& cli, const client::ImageReference& image, const std::string& platform,
                  ProgressTo where) {
  client::Request request;
  request.method = "POST";
  ASSIGN_OR_RETURN(request.headers, registry_headers(cli, image));
  Query query{{"fromImage", image.name}, {"tag", image.tag_or_digest()}};
  if (!platform.empty()) query.emplace_back("platform", platform);
  ASSIGN_OR_RETURN(auto response, cli.engine().open(std::move(request), "/images/create", query));
  return show_progress(cli, std::move(response), where);
}

namespace {

Status copy_body(client::Response& response, BorrowedFd to) {
  std::string buffer(256 << 10, '\0');
  while (true) {
    ASSIGN_OR_RETURN(auto got, response.read(buffer.data(), buffer.size()));
    if (got == 0) return {};
    RETURN_IF_ERROR(write_all(to, std::string_view(buffer).substr(0, got)));
  }
}

}  // namespace

Status save_body(Cli& cli, client::Response response, const std::string& path) {
  cli.flush();
  if (path.empty()) return copy_body(response, client::kStdout);
  // Devices and pipes are written to as they are.
  if (path.starts_with("/dev/")) {
    ASSIGN_OR_RETURN(auto device, open_file(path, O_WRONLY));
    return copy_body(response, device);
  }
  std::string temporary = fmt::format("{}.{}.tmp", path, random_hex(8));
  ASSIGN_OR_RETURN(auto file, open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, 0600));
  auto status = copy_body(response, file);
  if (status && ::rename(temporary.c_str(), path.c_str()) != 0)
    status = fail_errno("rename \"{}\" to \"{}\"", temporary, path);
  if (!status) (void)remove_file(temporary);
  return status;
}

Result<client::ByteSource> open_source(const std::string& path) {
  auto file = std::make_shared<UniqueFd>();
  if (!path.empty()) {
    auto opened = open_file(path, O_RDONLY);
    if (!opened && opened.error().code == Code::kNotFound)
      return fail(Code::kNotFound, "open {}: no such file or directory", path);
    if (!opened) return tl::unexpected(std::move(opened).error());
    *file = std::move(*opened);
  }
  return [file](char* buffer, std::size_t size) -> Result<std::size_t> {
    BorrowedFd from = file->valid() ? file->borrow() : client::kStdin;
    while (true) {
      ssize_t got = ::read(from.get(), buffer, size);
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EINTR) return fail_errno("read");
    }
  };
}

}  // namespace holdfast::cli
