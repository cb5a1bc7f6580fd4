#include "image/registry.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/base64.h"
#include "base/file.h"
#include "base/random.h"
#include "base/sha256.h"

namespace holdfast::image {
namespace {

constexpr std::size_t kManifestLimit = 4 << 20;  // as distribution and containerd have it
constexpr std::size_t kPacketLimit = 32 << 10;   // the proxy's own
constexpr int kProxySocket = 3;

// The text of a Go log line's msg="…", or the last line as it is.
std::string last_message(std::string_view output) {
  while (!output.empty() && output.back() == '\n') output.remove_suffix(1);
  auto line = output.substr(output.rfind('\n') + 1);
  auto at = line.find("msg=\"");
  if (at == std::string_view::npos) return std::string(line);
  std::string message;
  for (std::size_t i = at + 5; i < line.size() && line[i] != '"'; ++i) {
    if (line[i] == '\\' && i + 1 < line.size()) ++i;
    message += line[i];
  }
  return message;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};
Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// Runs skopeo to its end; standard output and error to two texts. Killed when cancelled.
struct Ran {
  bool success = false;
  std::string out;
  std::string err;
};

Status read_some(UniqueFd& fd, std::string& into, std::size_t limit) {
  char buffer[16384];
  ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
  if (count < 0 && errno == EINTR) return {};
  if (count < 0) return fail_errno("read from skopeo");
  if (count == 0) {
    fd.reset();
    return {};
  }
  into.append(buffer, static_cast<std::size_t>(count));
  if (into.size() > limit) return fail(Code::kInvalidArgument, "manifest is too large");
  return {};
}

Result<Ran> run_skopeo(std::vector<std::string> argv, const Cancellation& cancellation,
                       const std::function<void(std::string_view)>& line) {
  ASSIGN_OR_RETURN(auto out, make_pipe());
  ASSIGN_OR_RETURN(auto err, make_pipe());
  ProcessOptions options;
  options.argv = std::move(argv);
  options.stdout_fd = out.write_end.get();
  options.stderr_fd = err.write_end.get();
  options.die_with_parent = true;
  ASSIGN_OR_RETURN(auto process, Process::spawn(options));
  out.write_end.reset();
  err.write_end.reset();
  Ran ran;
  std::size_t told = 0;
  while (out.read_end || err.read_end) {
    std::array<struct pollfd, 3> entries = {{{out.read_end.get(), POLLIN, 0},
                                             {err.read_end.get(), POLLIN, 0},
                                             {cancellation.fd().get(), POLLIN, 0}}};
    if (::poll(entries.data(), entries.size(), -1) < 0 && errno != EINTR) return fail_errno("poll");
    RETURN_IF_ERROR(cancellation.check());
    if (entries[0].revents) RETURN_IF_ERROR(read_some(out.read_end, ran.out, kManifestLimit));
    if (entries[1].revents) RETURN_IF_ERROR(read_some(err.read_end, ran.err, kManifestLimit));
    while (line) {
      auto end = ran.out.find('\n', told);
      if (end == std::string::npos) break;
      line(std::string_view(ran.out).substr(told, end - told));
      told = end + 1;
    }
  }
  ASSIGN_OR_RETURN(auto status, process.wait());
  ran.success = status.success();
  return ran;
}

std::optional<std::uint32_t> parse_ipv4(std::string_view text) {
  std::uint32_t address = 0;
  for (int part = 0; part < 4; ++part) {
    auto end = part < 3 ? text.find('.') : text.size();
    if (end == std::string_view::npos || end == 0 || end > 3) return std::nullopt;
    std::uint32_t number = 0;
    for (char c : text.substr(0, end)) {
      if (c < '0' || c > '9') return std::nullopt;
      number = number * 10 + static_cast<std::uint32_t>(c - '0');
    }
    if (number > 255) return std::nullopt;
    address = address << 8 | number;
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return address;
}

bool in_network(std::uint32_t address, std::string_view cidr) {
  auto slash = cidr.find('/');
  if (slash == std::string_view::npos) return false;
  auto network = parse_ipv4(cidr.substr(0, slash));
  int bits = std::atoi(std::string(cidr.substr(slash + 1)).c_str());
  if (!network || bits < 0 || bits > 32) return false;
  std::uint32_t mask = bits == 0 ? 0 : ~std::uint32_t{0} << (32 - bits);
  return (address & mask) == (*network & mask);
}

}  // namespace

bool insecure(const std::string& host, const std::vector<std::string>& insecure_registries) {
  auto colon = host.rfind(':');
  bool has_port = colon != std::string::npos && !host.ends_with(']');
  std::string name = has_port ? host.substr(0, colon) : host;
  if (name == "localhost" || name == "[::1]") return true;
  auto address = parse_ipv4(name);
  if (address && in_network(*address, "127.0.0.0/8")) return true;
  return std::any_of(
      insecure_registries.begin(), insecure_registries.end(), [&](const std::string& entry) {
        return entry == host || entry == name || (address && in_network(*address, entry));
      });
}

Result<AuthFile> AuthFile::create(const std::string& directory, const Reference& reference,
                                  const Credentials& credentials) {
  if (!credentials.registry_token.empty() && credentials.username.empty())
    return fail(Code::kNotImplemented, "registry tokens are not supported; log in with a password");
  json::Object auths;
  if (!credentials.username.empty() || !credentials.identity_token.empty()) {
    json::Object entry;
    bool by_token = !credentials.identity_token.empty();
    std::string user = by_token ? "<token>" : credentials.username;
    entry["auth"] = base64_encode(user + ":" + (by_token ? "" : credentials.password));
    if (by_token) entry["identitytoken"] = credentials.identity_token;
    auths[reference.domain()] = std::move(entry);
  }
  RETURN_IF_ERROR(make_directories(directory, 0711));
  AuthFile file;
  std::string path = fmt::format("{}/auth-{}.json", directory, random_hex(16));
  ASSIGN_OR_RETURN(auto fd, open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
  file.path_ = path;
  RETURN_IF_ERROR(write_all(fd, json::serialize(json::Object{{"auths", std::move(auths)}})));
  return file;
}

AuthFile::~AuthFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

Result<Registry> Registry::connect(const Options& options, const Reference& reference,
                                   const Credentials& credentials,
                                   const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(auto auth, AuthFile::create(options.exec_root, reference, credentials));
  bool anonymous = credentials.username.empty() && credentials.identity_token.empty();
  return Registry(options, reference, anonymous, std::move(auth), cancellation);
}

std::vector<std::string> Registry::command(std::vector<std::string> verb, bool destination) const {
  std::vector<std::string> argv = {"skopeo"};
  // skopeo refuses to work without a policy; Docker knows none.
  if (!file_exists("/etc/containers/policy.json")) argv.push_back("--insecure-policy");
  argv.insert(argv.end(), verb.begin(), verb.end());
  argv.push_back("--authfile");
  argv.push_back(auth_.path());
  if (insecure(reference_.domain(), options_->insecure_registries))
    argv.push_back(destination ? "--dest-tls-verify=false" : "--tls-verify=false");
  return argv;
}

// What skopeo says, in the words Docker has for it.
Error Registry::translate(std::string_view text, bool pushing) const {
  std::string familiar = reference_.familiar();
  std::string name = reference_.familiar_name();
  auto at_request = text.find("Get \"");
  if (at_request == std::string_view::npos) at_request = text.find("Head \"");
  if (contains(text, "manifest unknown") && !pushing) {
    return {Code::kNotFound, 0,
            fmt::format("manifest for {} not found: manifest unknown: manifest unknown", familiar)};
  }
  if (contains(text, "name unknown") || contains(text, "repository name not known"))
    return {Code::kNotFound, 0,
            fmt::format("repository {} not found: name unknown: repository name not known to "
                        "registry",
                        name)};
  bool denied = contains(text, "denied:") || contains(text, "access to the resource is denied");
  if (denied && !pushing) {
    return {Code::kNotFound, 0,
            fmt::format("pull access denied for {}, repository does not exist or may require "
                        "'docker login': denied: requested access to the resource is denied",
                        name)};
  }
  if (denied) {
    return {Code::kPermissionDenied, 0, "denied: requested access to the resource is denied"};
  }
  if (contains(text, "unauthorized") || contains(text, "authentication required") ||
      contains(text, "invalid username/password")) {
    if (anonymous_ && !pushing) {
      return {Code::kInternal, 0,
              fmt::format("Head \"http{}://{}/v2/{}/manifests/{}\": no basic auth credentials",
                          insecure(reference_.domain(), options_->insecure_registries) ? "" : "s",
                          reference_.domain(), reference_.path(),
                          reference_.digest().empty() ? reference_.tag() : reference_.digest())};
    }
    if (anonymous_) return {Code::kInternal, 0, "no basic auth credentials"};
    return {Code::kInternal, 0, "unauthorized: authentication required"};
  }
  if (at_request != std::string_view::npos)
    return {Code::kInternal, 0, std::string(text.substr(at_request))};
  return {Code::kInternal, 0, std::string(text)};
}

Result<std::string> Registry::manifest(const Reference& reference) {
  auto argv = command({"inspect", "--raw"}, false);
  argv.push_back("docker://" + reference.str());
  ASSIGN_OR_RETURN(auto ran, run_skopeo(std::move(argv), *cancellation_, nullptr));
  if (!ran.success) return tl::unexpected(translate(last_message(ran.err), false));
  std::string digest = "sha256:" + sha256_hex(ran.out);
  if (!reference.digest().empty() && reference.digest() != digest) {
    return fail(Code::kDataLoss, "manifest verification failed for digest {}", reference.digest());
  }
  return std::move(ran.out);
}

// One answer of the proxy and the pipe that came with it.
struct BlobFetcher::Reply {
  json::Value value;
  std::int64_t pipe_id = 0;
  UniqueFd pipe;
};

Result<std::unique_ptr<BlobFetcher>> Registry::fetcher(const Reference& reference) const {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return fail_errno("socketpair");
  UniqueFd theirs(ends[1]);
  std::unique_ptr<BlobFetcher> fetcher(new BlobFetcher(*cancellation_));
  fetcher->socket_.reset(ends[0]);
  ProcessOptions options;
  options.argv =
      command({"experimental-image-proxy", "--sockfd", std::to_string(kProxySocket)}, false);
  options.extra_fds = {{theirs.get(), kProxySocket}};
  options.die_with_parent = true;
  ASSIGN_OR_RETURN(fetcher->process_, Process::spawn(options));
  theirs.reset();
  ASSIGN_OR_RETURN(auto version, fetcher->call("Initialize", {}));
  if (!version.value.is_string() || !version.value.get_string().starts_with("0.2.")) {
    return fail(Code::kNotImplemented, "skopeo speaks another proxy protocol: {}",
                json::serialize(version.value));
  }
  auto opened = fetcher->call("OpenImage", {json::Value("docker://" + reference.str())});
  if (!opened && opened.error().code == Code::kCancelled) return tl::unexpected(opened.error());
  if (!opened) return tl::unexpected(translate(opened.error().message, false));
  fetcher->image_ = opened->value.is_int64() ? opened->value.get_int64()
                    : opened->value.is_uint64()
                        ? static_cast<std::int64_t>(opened->value.get_uint64())
                        : 0;
  return fetcher;
}

Result<Registry::Pushed> Registry::push(const std::string& layout, const std::string& name,
                                        const std::string& blob_directory,
                                        const Reference& reference, bool keep_digest,
                                        const std::function<void(std::string_view)>& line) {
  std::string digest_file = layout + "/digest";
  auto argv =
      command({"copy", "--src-shared-blob-dir", blob_directory, "--digestfile", digest_file}, true);
  if (keep_digest) argv.push_back("--preserve-digests");
  argv.push_back(fmt::format("oci:{}:{}", layout, name));
  argv.push_back("docker://" + reference.str());
  ASSIGN_OR_RETURN(auto ran, run_skopeo(std::move(argv), *cancellation_, line));
  if (!ran.success) return tl::unexpected(translate(last_message(ran.err), true));
  ASSIGN_OR_RETURN(auto digest, read_file(digest_file));
  while (!digest.empty() && digest.back() == '\n') digest.pop_back();
  return Pushed{std::move(digest)};
}

BlobFetcher::~BlobFetcher() = default;

Status BlobFetcher::wait_readable(BorrowedFd fd) {
  while (true) {
    std::array<struct pollfd, 3> entries = {{{fd.get(), POLLIN, 0},
                                             {cancellation_.fd().get(), POLLIN, 0},
                                             {stop_ ? stop_->fd().get() : -1, POLLIN, 0}}};
    int ready = ::poll(entries.data(), entries.size(), -1);
    if (ready < 0 && errno != EINTR) return fail_errno("poll");
    RETURN_IF_ERROR(cancellation_.check());
    if (stop_) RETURN_IF_ERROR(stop_->check());
    if (ready > 0 && entries[0].revents != 0) return {};
  }
}

Status BlobFetcher::send(const json::Object& request) {
  std::string packet = json::serialize(request);
  if (::send(socket_.get(), packet.data(), packet.size(), MSG_NOSIGNAL) < 0)
    return fail_errno("send to skopeo");
  return {};
}

Result<BlobFetcher::Reply> BlobFetcher::receive() {
  RETURN_IF_ERROR(wait_readable(socket_));
  std::string packet(kPacketLimit, '\0');
  struct iovec part = {packet.data(), packet.size()};
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t count = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
  if (count < 0) return fail_errno("receive from skopeo");
  if (count == 0) return fail(Code::kInternal, "skopeo ended unexpectedly");
  Reply reply;
  for (auto* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    reply.pipe.reset(fd);
  }
  packet.resize(static_cast<std::size_t>(count));
  ASSIGN_OR_RETURN(auto document, json::parse_object(packet));
  if (!json::bool_or(document, "success"))
    return fail(Code::kInternal, "{}", json::string_or(document, "error"));
  reply.pipe_id = json::int_or(document, "pipeid");
  if (const auto* value = json::find(document, "value")) reply.value = *value;
  return reply;
}

Result<BlobFetcher::Reply> BlobFetcher::call(std::string_view method, json::Array arguments) {
  RETURN_IF_ERROR(send({{"method", method}, {"args", std::move(arguments)}}));
  return receive();
}

Status BlobFetcher::fetch(const std::string& digest, std::uint64_t size,
                          const archive::Sink& sink) {
  ASSIGN_OR_RETURN(auto reply, call("GetBlob", {image_, digest, size}));
  if (!reply.pipe) return fail(Code::kInternal, "skopeo sent no pipe");
  // The pipe's end only comes once this is asked for, and the answer once the pipe is drained.
  RETURN_IF_ERROR(send({{"method", "FinishPipe"}, {"args", json::Array{reply.pipe_id}}}));
  ::fcntl(reply.pipe.get(), F_SETPIPE_SZ, 1 << 20);  // fewer wake-ups; a refusal does no harm
  std::vector<char> buffer(256 << 10);
  while (true) {
    RETURN_IF_ERROR(wait_readable(reply.pipe));
    ssize_t count = ::read(reply.pipe.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("read blob");
    if (count == 0) break;
    RETURN_IF_ERROR(sink({buffer.data(), static_cast<std::size_t>(count)}));
  }
  ASSIGN_OR_RETURN(auto finished, receive());
  return {};
}

}  // namespace holdfast::image
