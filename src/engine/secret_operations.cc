#include <algorithm>
#include <set>

#include "engine/container_filter.h"
#include "engine/engine_impl.h"

// Secrets as Docker's API has them, but that no swarm is needed.
namespace holdfast {
namespace {

// The filters of GET /secrets: values of one key are alternatives, but for labels.
class SecretFilter {
 public:
  static Result<SecretFilter> parse(const FilterMap& filters) {
    static const std::set<std::string> kKeys = {"id", "label", "name", "names"};
    for (const auto& [key, value] : filters) {
      if (!kKeys.contains(key)) return fail(Code::kInvalidArgument, "invalid filter '{}'", key);
    }
    SecretFilter filter;
    filter.filters_ = filters;
    return filter;
  }

  bool matches(const Secret& secret) const {
    json::Object labels = json::from_string_map(secret.labels);
    auto one = [&](const auto& entry) {
      if (entry.first == "id") return secret.id.str().starts_with(entry.second);
      if (entry.first == "name") return secret.name.starts_with(entry.second);
      if (entry.first == "names") return secret.name == entry.second;
      return has_label(labels, entry.second);
    };
    for (auto key = filters_.begin(); key != filters_.end();
         key = filters_.upper_bound(key->first)) {
      auto [first, last] = filters_.equal_range(key->first);
      bool matched =
          key->first == "label" ? std::all_of(first, last, one) : std::any_of(first, last, one);
      if (!matched) return false;
    }
    return true;
  }

 private:
  FilterMap filters_;
};

void publish(EventBus& events, const Secret& secret, const std::string& action) {
  events.publish("secret", action, secret.id.str(), {{"name", secret.name}});
}

Status check_plain(const json::Object& spec) {
  if (json::find(spec, "Driver"))
    return fail(Code::kNotImplemented, "secret drivers are not supported");
  if (json::find(spec, "Templating"))
    return fail(Code::kNotImplemented, "secrets with a template driver are not supported");
  return {};
}

}  // namespace

Result<json::Object> Engine::create_secret(const json::Object& spec, const SecretBytes& data) {
  RETURN_IF_ERROR(check_plain(spec));
  ASSIGN_OR_RETURN(auto name, json::get_string(spec, "Name"));
  ASSIGN_OR_RETURN(auto labels, json::get_string_map(spec, "Labels"));
  ASSIGN_OR_RETURN(auto secret, impl_->secrets->create(name, std::move(labels), data.view()));
  publish(impl_->events, *secret, "create");
  return json::Object{{"ID", secret->id.str()}};
}

Result<json::Array> Engine::list_secrets(const FilterMap& filters) const {
  ASSIGN_OR_RETURN(auto filter, SecretFilter::parse(filters));
  json::Array list;
  for (const auto& secret : impl_->secrets->list()) {
    if (filter.matches(*secret)) list.push_back(secret_json(*secret));
  }
  return list;
}

Result<json::Object> Engine::inspect_secret(const std::string& name) const {
  ASSIGN_OR_RETURN(auto secret, impl_->secrets->find(name));
  return secret_json(*secret);
}

Status Engine::update_secret(const std::string& name, std::uint64_t version,
                             const json::Object& spec) {
  RETURN_IF_ERROR(check_plain(spec));
  if (const auto* data = json::find(spec, "Data");
      data && !(data->is_string() && data->get_string().empty()))
    return fail(Code::kInvalidArgument, "only updates to Labels are allowed");
  ASSIGN_OR_RETURN(auto new_name, json::get_string(spec, "Name"));
  ASSIGN_OR_RETURN(auto labels, json::get_string_map(spec, "Labels"));
  ASSIGN_OR_RETURN(auto secret, impl_->secrets->update(name, version, new_name, std::move(labels)));
  publish(impl_->events, *secret, "update");
  return {};
}

Status Engine::remove_secret(const std::string& name) {
  auto& impl = *impl_;
  auto name_of = [&](const HolderId& holder) {
    auto container = impl.table.find(holder.str());
    return container ? (*container)->name() : holder.str();
  };
  ASSIGN_OR_RETURN(auto secret, impl.secrets->remove(name, name_of));
  publish(impl.events, *secret, "remove");
  return {};
}

}  // namespace holdfast
