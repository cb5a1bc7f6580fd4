#include "client/template/template.h"

#include <algorithm>

#include "client/template/functions.h"
#include "client/template/node.h"
#include "client/template/parser.h"

namespace holdfast::client {
namespace {

using Nodes = std::vector<std::unique_ptr<TemplateNode>>;

// Members that Go's types have and the API leaves out when they are empty: asking for one is no
// error, unlike for a name nobody knows.
json::Value absent_member(std::string_view name, bool& known) {
  known = true;
  for (std::string_view pointer :
       {"Health",  "Healthcheck",  "Annotations",   "OnBuild",     "Shell",   "Options",
        "Status",  "UsageData",    "ClusterVolume", "Tmpfs",       "Sysctls", "StorageOpt",
        "Init",    "Mounts",       "Labels",        "StopTimeout", "SizeRw",  "SizeRootFs",
        "Volumes", "ExposedPorts", "ArgsEscaped"})
    if (name == pointer) return nullptr;
  for (std::string_view text :
       {"StopSignal", "Runtime", "Platform", "Parent", "DockerVersion", "Author", "Comment",
        "Variant", "MacAddress", "VolumeDriver", "Domainname", "Name", "Driver", "Propagation",
        "Gateway", "Description"})
    if (name == text) return "";
  known = false;
  return nullptr;
}

// A value and the member name it came from, which its printing depends on.
struct Named {
  json::Value value;
  std::string name;
};

// One run of a template: output, variables, and the values "." and "$" stand for.
class Execution {
 public:
  explicit Execution(const TemplateData& data) : data_(data) {
    variables_.emplace_back("$", Named{data.root, ""});
  }

  enum class Flow { kOn, kBreak, kContinue };

  Result<Flow> run(const Nodes& nodes, const Named& dot) {
    for (const auto& node : nodes) {
      ASSIGN_OR_RETURN(auto flow, run(*node, dot));
      if (flow != Flow::kOn) return flow;
    }
    return Flow::kOn;
  }

  std::string take_output() { return std::move(out_); }

 private:
  Result<Flow> run(const TemplateNode& node, const Named& dot) {
    using Kind = TemplateNode::Kind;
    switch (node.kind) {
      case Kind::kText:
        out_ += node.text;
        return Flow::kOn;
      case Kind::kBreak:
        return Flow::kBreak;
      case Kind::kContinue:
        return Flow::kContinue;
      case Kind::kAction: {
        ASSIGN_OR_RETURN(auto result, evaluate(node.pipeline, dot));
        if (node.pipeline.variables.empty()) out_ += template_text(result.value, result.name);
        return Flow::kOn;
      }
      case Kind::kIf:
      case Kind::kWith:
      case Kind::kRange:
        break;
    }
    std::size_t scope = variables_.size();
    auto flow = node.kind == Kind::kRange ? range(node, dot) : branch(node, dot);
    variables_.erase(variables_.begin() + static_cast<long>(scope), variables_.end());
    return flow;
  }

  Result<Flow> branch(const TemplateNode& node, const Named& dot) {
    ASSIGN_OR_RETURN(auto result, evaluate(node.pipeline, dot));
    if (!template_truth(result.value)) return run(node.otherwise, dot);
    return run(node.body, node.kind == TemplateNode::Kind::kWith ? result : dot);
  }

  Result<Flow> range(const TemplateNode& node, const Named& dot) {
    ASSIGN_OR_RETURN(auto result, evaluate(node.pipeline, dot));
    std::vector<std::pair<json::Value, json::Value>> items;
    if (result.value.is_array()) {
      std::int64_t index = 0;
      for (const auto& item : result.value.get_array()) items.emplace_back(index++, item);
    } else if (result.value.is_object()) {
      for (const auto& [key, value] : result.value.get_object())
        items.emplace_back(std::string_view(key), value);
      std::sort(items.begin(), items.end(), [](const auto& a, const auto& b) {
        return a.first.get_string() < b.first.get_string();
      });
    } else if (!result.value.is_null()) {
      return fail(Code::kInvalidArgument, ":1: executing \"\": range can't iterate over {}",
                  template_text(result.value));
    }
    if (items.empty()) return run(node.otherwise, dot);
    for (const auto& [key, value] : items) {
      std::size_t scope = variables_.size();
      const auto& names = node.pipeline.variables;
      if (names.size() == 1) variables_.emplace_back(names[0], Named{value, ""});
      if (names.size() == 2) {
        variables_.emplace_back(names[0], Named{key, ""});
        variables_.emplace_back(names[1], Named{value, ""});
      }
      auto flow = run(node.body, Named{value, value.is_object() ? "struct" : ""});
      variables_.erase(variables_.begin() + static_cast<long>(scope), variables_.end());
      if (!flow) return flow;
      if (*flow == Flow::kBreak) break;
    }
    return Flow::kOn;
  }

  Result<Named> evaluate(const TemplatePipeline& pipeline, const Named& dot) {
    std::optional<Named> last;
    for (const auto& command : pipeline.commands) {
      ASSIGN_OR_RETURN(last, evaluate(command, dot, last));
    }
    if (pipeline.variables.size() == 1) assign(pipeline, *last);
    return *last;
  }

  void assign(const TemplatePipeline& pipeline, const Named& value) {
    const std::string& name = pipeline.variables[0];
    if (!pipeline.declares) {
      for (auto variable = variables_.rbegin(); variable != variables_.rend(); ++variable) {
        if (variable->first != name) continue;
        variable->second = value;
        return;
      }
    }
    variables_.emplace_back(name, value);
  }

  Result<Named> evaluate(const TemplateCommand& command, const Named& dot,
                         const std::optional<Named>& piped) {
    const TemplateOperand& first = command.operands[0];
    if (first.kind == TemplateOperand::Kind::kFunction &&
        (first.name == "and" || first.name == "or"))
      return evaluate_logic(command, dot, piped);
    std::vector<json::Value> arguments;
    for (std::size_t i = 1; i < command.operands.size(); ++i) {
      ASSIGN_OR_RETURN(auto argument, evaluate(command.operands[i], dot));
      arguments.push_back(std::move(argument.value));
    }
    if (piped) arguments.push_back(piped->value);
    if (first.kind == TemplateOperand::Kind::kFunction) {
      // A heading stands for the values below it: "{{upper .ID}}" is still the column of ".ID".
      if (data_.headings && !arguments.empty() && !template_is_logic(first.name))
        return Named{heading_argument(first.name, arguments), ""};
      auto result = call_template_function(first.name, arguments);
      if (!result)
        return fail(Code::kInvalidArgument, ":1: executing \"\" at <{}>: {}", first.name,
                    result.error().message);
      return Named{std::move(*result), ""};
    }
    if (const auto* method = find_method(first)) {
      ASSIGN_OR_RETURN(auto value, (*method)(arguments));
      return Named{std::move(value), ""};
    }
    if (!arguments.empty()) {
      return fail(Code::kInvalidArgument,
                  ":1: executing \"\" at <{}>: can't give argument to non-function {}", first.text,
                  first.text);
    }
    return evaluate(first, dot);
  }

  static bool template_is_logic(std::string_view name) {
    return name == "eq" || name == "ne" || name == "not" || name == "lt" || name == "gt" ||
           name == "le" || name == "ge" || name == "len" || name == "print" || name == "println" ||
           name == "printf";
  }

  static json::Value heading_argument(std::string_view name,
                                      const std::vector<json::Value>& arguments) {
    // index, split, join and the like take the value first; a piped value comes last.
    bool first = name == "index" || name == "slice" || name == "split" || name == "join" ||
                 name == "pad" || name == "truncate";
    return json::Value(first ? arguments.front() : arguments.back());
  }

  Result<Named> evaluate_logic(const TemplateCommand& command, const Named& dot,
                               const std::optional<Named>& piped) {
    bool wants = command.operands[0].name == "or";
    std::optional<Named> last;
    for (std::size_t i = 1; i < command.operands.size(); ++i) {
      ASSIGN_OR_RETURN(last, evaluate(command.operands[i], dot));
      if (template_truth(last->value) == wants) return *last;
    }
    if (piped) last = *piped;
    if (!last)
      return fail(Code::kInvalidArgument,
                  ":1: executing \"\": wrong number of args for {}: want at least 1 got 0",
                  command.operands[0].name);
    return *last;
  }

  const TemplateData::Method* find_method(const TemplateOperand& operand) const {
    bool root_field = operand.kind == TemplateOperand::Kind::kDot ||
                      (operand.kind == TemplateOperand::Kind::kVariable && operand.name == "$");
    if (!root_field || operand.fields.size() != 1) return nullptr;
    auto method = data_.methods.find(operand.fields[0]);
    return method == data_.methods.end() ? nullptr : &method->second;
  }

  Result<Named> evaluate(const TemplateOperand& operand, const Named& dot) {
    using Kind = TemplateOperand::Kind;
    Named start;
    switch (operand.kind) {
      case Kind::kDot:
        start = dot;
        break;
      case Kind::kLiteral:
        return Named{operand.literal, ""};
      case Kind::kVariable: {
        ASSIGN_OR_RETURN(start, variable(operand.name));
        break;
      }
      case Kind::kPipeline: {
        ASSIGN_OR_RETURN(start, evaluate(*operand.pipeline, dot));
        break;
      }
      case Kind::kFunction: {
        TemplateCommand command;
        auto result = call_template_function(operand.name, {});
        if (!result)
          return fail(Code::kInvalidArgument, ":1: executing \"\" at <{}>: {}", operand.name,
                      result.error().message);
        return Named{std::move(*result), ""};
      }
    }
    for (const auto& field : operand.fields) {
      ASSIGN_OR_RETURN(start, member(std::move(start), field, operand));
    }
    return start;
  }

  Result<Named> variable(const std::string& name) const {
    for (auto variable = variables_.rbegin(); variable != variables_.rend(); ++variable)
      if (variable->first == name) return variable->second;
    return fail(Code::kInvalidArgument, ":1: undefined variable \"{}\"", name);
  }

  static Result<Named> member(Named from, const std::string& field,
                              const TemplateOperand& operand) {
    if (from.value.is_object()) {
      if (const json::Value* found = from.value.get_object().if_contains(field))
        return Named{*found, field};
      bool known = false;
      auto absent = absent_member(field, known);
      if (known) return Named{absent, field};
      return fail(Code::kInvalidArgument,
                  ":1:2: executing \"\" at <{}>: map has no entry for key \"{}\"", operand.text,
                  field);
    }
    if (from.value.is_null())
      return fail(Code::kInvalidArgument, ":1:2: executing \"\" at <{}>: nil pointer evaluating {}",
                  operand.text, field);
    return fail(Code::kInvalidArgument,
                ":1:2: executing \"\" at <{}>: can't evaluate field {} in type {}", operand.text,
                field, std::string_view(boost::json::to_string(from.value.kind())));
  }

  const TemplateData& data_;
  std::string out_;
  std::vector<std::pair<std::string, Named>> variables_;
};

}  // namespace

Template::Template(Nodes nodes) : nodes_(std::move(nodes)) {}
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

Result<Template> Template::parse(std::string_view text) {
  ASSIGN_OR_RETURN(auto nodes, parse_template(text));
  return Template(std::move(nodes));
}

Result<std::string> Template::execute(const TemplateData& data) const {
  Execution execution(data);
  ASSIGN_OR_RETURN(auto flow, execution.run(nodes_, Named{data.root, "struct"}));
  (void)flow;
  return execution.take_output();
}

}  // namespace holdfast::client
