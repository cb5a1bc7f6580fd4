#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"

// The part of Go's text/template that people use in --format: fields, variables, pipelines, if,
// range, with, comments, trim markers, and the functions of Go and of Docker's clients.
namespace holdfast::client {

struct TemplateNode;

// What a template is run on: a JSON value as ".", and fields that take arguments (".Label "x"").
struct TemplateData {
  using Method = std::function<Result<json::Value>(const std::vector<json::Value>& arguments)>;
  json::Value root;
  std::map<std::string, Method, std::less<>> methods;
  // The row of column headings: functions hand on their argument instead of working on it.
  bool headings = false;
};

// A parsed template. Immutable; may be shared by threads.
class Template {
 public:
  // kInvalidArgument in Go's words, without the "template: " in front.
  static Result<Template> parse(std::string_view text);

  // The text it produces. kInvalidArgument when a field isn't there or a function is misused.
  Result<std::string> execute(const TemplateData& data) const;

  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();

 private:
  explicit Template(std::vector<std::unique_ptr<TemplateNode>> nodes);
  std::vector<std::unique_ptr<TemplateNode>> nodes_;
};

}  // namespace holdfast::client
