#include "storage/driver/plugin/plugin_client.h"

#include <poll.h>

#include <algorithm>

namespace holdfast {
namespace {

constexpr std::size_t kMaxWords = 1000;

// What a plugin says ends in a message to a person: no control characters, and not a page of HTML.
std::string words_of(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  if (text.size() > kMaxWords) text = text.substr(0, kMaxWords) + "…";
  std::replace_if(
      text.begin(), text.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return text;
}

std::string checked_scope(std::string scope) {
  std::transform(scope.begin(), scope.end(), scope.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return scope == "global" ? scope : "local";
}

}  // namespace

bool plugin_said_so(const Error& error) { return error.code == Code::kInternal; }

bool certainly_undone(const Error& error) {
  return error.code == Code::kUnavailable || error.code == Code::kNotFound ||
         error.code == Code::kInvalidArgument || plugin_said_so(error);
}

Result<PluginEndpoint> PluginClient::find() {
  auto endpoint = surroundings_.directories.find(name_);
  if (!endpoint) return endpoint;
  if (surroundings_.stopping.cancelled())
    return fail(Code::kUnavailable, "plugin \"{}\": the daemon is stopping", name_);
  if (silent())
    return fail(Code::kUnavailable,
                "plugin \"{}\" at {} has not answered an earlier call; it is asked again all the "
                "time, and used as soon as it answers",
                name_, endpoint->address);
  return endpoint;
}

// Any answer, and any refusal that comes at once, ends the silence; a missed deadline begins it.
void PluginClient::note(const Error* failure) {
  bool late = failure && failure->code == Code::kDeadlineExceeded;
  bool cancelled = failure && failure->code == Code::kCancelled;
  std::lock_guard lock(mutex_);
  if (failure && failure->code == Code::kUnavailable) greeting_.reset();
  if (cancelled || late == silent_) return;
  silent_ = late;
  if (late) surroundings_.errands.submit([this] { watch(); });
}

void PluginClient::watch() {
  const auto& stopping = surroundings_.stopping;
  while (!stopping.cancelled()) {
    auto endpoint = surroundings_.directories.find(name_);
    if (!endpoint) return note(nullptr);
    auto deadline = std::chrono::steady_clock::now() + surroundings_.deadlines.quick;
    auto answer = ask_plugin(*endpoint, "/Plugin.Activate", "", deadline, stopping);
    if (answer || answer.error().code != Code::kDeadlineExceeded)
      return note(answer ? nullptr : &answer.error());
    pollfd stop = {stopping.fd().get(), POLLIN, 0};
    ::poll(&stop, 1, static_cast<int>(surroundings_.deadlines.retry.count()));
  }
}

Result<json::Object> PluginClient::read_answer(const PluginEndpoint& endpoint,
                                               std::string_view method,
                                               const PluginAnswer& answer) const {
  auto object = json::parse_object(answer.body.empty() ? "{}" : answer.body);
  std::string reported = object ? json::string_or(*object, "Err") : "";
  if (answer.status != 200) {
    std::string words = words_of(reported.empty() ? answer.body : reported);
    if (words.empty()) words = fmt::format("status {}", answer.status);
    return fail(Code::kInternal, "{}: {}", method, words);
  }
  if (!object)
    return fail(Code::kAborted, "{}: plugin \"{}\" at {}: the answer is no JSON object: {}", method,
                name_, endpoint.address, object.error().message);
  if (!reported.empty()) return fail(Code::kInternal, "{}", words_of(reported));
  return object;
}

Result<json::Object> PluginClient::ask(const PluginEndpoint& endpoint, std::string_view method,
                                       const std::string& body, Pace pace) {
  const auto& deadlines = surroundings_.deadlines;
  auto deadline =
      std::chrono::steady_clock::now() + (pace == Pace::kSlow ? deadlines.slow : deadlines.quick);
  auto answer =
      ask_plugin(endpoint, fmt::format("/{}", method), body, deadline, surroundings_.stopping);
  note(answer ? nullptr : &answer.error());
  if (!answer) return tl::unexpected(std::move(answer).error().wrap(method));
  return read_answer(endpoint, method, *answer);
}

Result<PluginClient::Greeting> PluginClient::greeting(const PluginEndpoint& endpoint, bool anew) {
  {
    std::lock_guard lock(mutex_);
    if (!anew && greeting_ && greeting_->identity == endpoint.identity) return *greeting_;
  }
  ASSIGN_OR_RETURN(auto manifest, ask(endpoint, "Plugin.Activate", "", Pace::kQuick));
  Greeting greeting{endpoint.identity, json::strings_or_empty(manifest, "Implements"), "local"};
  bool drives = std::count(greeting.implements.begin(), greeting.implements.end(), "VolumeDriver");
  if (drives) {
    // Capabilities are optional: a plugin that doesn't know the call is local.
    auto told = ask(endpoint, "VolumeDriver.Capabilities", "{}", Pace::kQuick);
    if (!told && !plugin_said_so(told.error())) return tl::unexpected(std::move(told).error());
    if (told)
      greeting.scope =
          checked_scope(json::string_or(json::object_or_empty(*told, "Capabilities"), "Scope"));
  }
  std::lock_guard lock(mutex_);
  greeting_ = greeting;
  return greeting;
}

Result<std::vector<std::string>> PluginClient::greet() {
  auto lookup_failed = [this](Error error) {
    if (error.code != Code::kNotFound) error = std::move(error).wrap("legacy plugin");
    return tl::unexpected(
        std::move(error).wrap(fmt::format("error looking up volume plugin {}", name_)));
  };
  auto endpoint = find();
  if (!endpoint) return lookup_failed(std::move(endpoint).error());
  auto greeted = greeting(*endpoint, false);
  if (!greeted) return lookup_failed(std::move(greeted).error());
  const auto& all = greeted->implements;
  if (std::count(all.begin(), all.end(), "VolumeDriver") == 0)
    return lookup_failed(
        Error{Code::kInvalidArgument, 0, "Plugin does not implement the requested driver"});
  return all;
}

Result<std::vector<std::string>> PluginClient::greet_anew() {
  ASSIGN_OR_RETURN(auto endpoint, find());
  ASSIGN_OR_RETURN(auto greeted, greeting(endpoint, true));
  return std::move(greeted.implements);
}

Result<json::Object> PluginClient::call(std::string_view verb, const json::Object& arguments,
                                        Pace pace) {
  RETURN_IF_ERROR(greet());
  ASSIGN_OR_RETURN(auto endpoint, find());
  return ask(endpoint, fmt::format("VolumeDriver.{}", verb), json::serialize(arguments), pace);
}

std::string PluginClient::scope() const {
  std::lock_guard lock(mutex_);
  return greeting_ ? greeting_->scope : "local";
}

std::optional<std::vector<std::string>> PluginClient::implements() const {
  std::lock_guard lock(mutex_);
  if (!greeting_) return std::nullopt;
  return greeting_->implements;
}

bool PluginClient::silent() const {
  std::lock_guard lock(mutex_);
  return silent_;
}

}  // namespace holdfast
