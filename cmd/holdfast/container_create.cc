#include "container_create.h"

#include <fcntl.h>

#include "base/file.h"
#include "client/image_reference.h"
#include "client/run/container_config.h"
#include "client/terminal.h"
#include "image_transfer.h"

namespace holdfast::cli {
namespace {

// A --cidfile is reserved before the container exists and removed again if it never comes to be.
class IdFile {
 public:
  static Result<IdFile> reserve(const std::string& path) {
    IdFile file;
    if (path.empty()) return file;
    if (file_exists(path))
      return fail(Code::kAlreadyExists,
                  "container ID file found, make sure the other container isn't running or delete "
                  "{}",
                  path);
    ASSIGN_OR_RETURN(file.fd_, open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0644));
    file.path_ = path;
    return file;
  }
  IdFile(IdFile&&) noexcept = default;
  IdFile& operator=(IdFile&&) = delete;
  ~IdFile() {
    if (fd_.valid() && !written_) (void)remove_file(path_);
  }
  Status write(const std::string& id) {
    if (!fd_.valid()) return {};
    written_ = true;
    return write_all(fd_, id);
  }

 private:
  IdFile() = default;
  std::string path_;
  UniqueFd fd_;
  bool written_ = false;
};

Result<std::string> request_create(Cli& cli, const client::ContainerOptions& options,
                                   const json::Object& config) {
  Query query;
  if (!options.name.empty()) query.emplace_back("name", options.name);
  if (!options.platform.empty()) query.emplace_back("platform", options.platform);
  ASSIGN_OR_RETURN(auto answer, cli.engine().post("/containers/create", query, config));
  if (!answer.is_object()) return fail(Code::kUnavailable, "unexpected EOF");
  for (const auto& warning : json::strings_or_empty(answer.get_object(), "Warnings"))
    cli.err(fmt::format("WARNING: {}\n", warning));
  return json::string_or(answer.get_object(), "Id");
}

Result<client::ImageReference> tagged(const std::string& image) {
  ASSIGN_OR_RETURN(auto reference, client::parse_image_reference(image));
  if (!reference.has_tag_or_digest()) reference.tag = "latest";
  return reference;
}

Status pull(Cli& cli, const client::ContainerOptions& options,
            const client::ImageReference& image) {
  return pull_image(cli, image, options.platform,
                    options.quiet ? ProgressTo::kNowhere : ProgressTo::kStderr);
}

bool is_missing_image(const Error& error) {
  return error.code == Code::kNotFound && error.message.find("No such image") != std::string::npos;
}

bool is_image_id(const std::string& image) {
  return image.size() == 64 && image.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// Our terminal's size, so that the container has it from its first moment.
void add_console_size(const client::ContainerOptions& options, json::Object& config) {
  auto size = options.tty ? client::window_size(client::kStdout) : std::nullopt;
  if (size)
    config["HostConfig"].get_object()["ConsoleSize"] = json::Array{size->rows, size->columns};
}

}  // namespace

Result<json::Object> check_container(const client::ContainerOptions& options,
                                     const Arguments& arguments) {
  if (options.pull != "always" && options.pull != "missing" && options.pull != "never")
    return fail(Code::kInvalidArgument,
                "invalid pull option: '{}': must be one of \"always\", \"missing\" or \"never\"",
                options.pull);
  return client::make_container_config(options, arguments[0],
                                       {arguments.begin() + 1, arguments.end()});
}

Result<std::string> create_container(Cli& cli, const client::ContainerOptions& options,
                                     const std::string& image, json::Object config) {
  if (!is_image_id(image)) RETURN_IF_ERROR(client::parse_image_reference(image));
  add_console_size(options, config);
  ASSIGN_OR_RETURN(auto id_file, IdFile::reserve(options.cidfile));
  if (options.pull == "always") {
    ASSIGN_OR_RETURN(auto reference, tagged(image));
    RETURN_IF_ERROR(pull(cli, options, reference));
  }
  auto id = request_create(cli, options, config);
  if (!id && options.pull == "missing" && is_missing_image(id.error())) {
    ASSIGN_OR_RETURN(auto reference, tagged(image));
    if (!options.quiet)
      cli.err(fmt::format("Unable to find image '{}' locally\n", reference.familiar()));
    RETURN_IF_ERROR(pull(cli, options, reference));
    id = request_create(cli, options, config);
  }
  if (!id) return id;
  RETURN_IF_ERROR(id_file.write(*id));
  return id;
}

std::string with_hint(std::string_view verb, const Error& error) {
  return fmt::format("holdfast: {}\n\nRun 'holdfast {} --help' for more information\n",
                     error.message, verb);
}

}  // namespace holdfast::cli
