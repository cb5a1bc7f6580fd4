#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/json.h"

// The tree of a parsed template; used within client/template only.
namespace holdfast::client {

struct TemplatePipeline;

// One word of a command: what it starts from, then the fields taken of it.
struct TemplateOperand {
  enum class Kind { kDot, kVariable, kLiteral, kFunction, kPipeline };
  Kind kind = Kind::kDot;
  std::string name;     // of the variable ("$" is the root) or function
  json::Value literal;  // kLiteral
  std::unique_ptr<TemplatePipeline> pipeline;
  std::vector<std::string> fields;
  std::string text;  // as written, for error messages
};

struct TemplateCommand {
  std::vector<TemplateOperand> operands;
};

// $a, $b := command | command
struct TemplatePipeline {
  std::vector<std::string> variables;
  bool declares = false;  // ":=" rather than "="
  std::vector<TemplateCommand> commands;
};

struct TemplateNode {
  enum class Kind { kText, kAction, kIf, kRange, kWith, kBreak, kContinue };
  Kind kind = Kind::kText;
  std::string text;
  TemplatePipeline pipeline;
  std::vector<std::unique_ptr<TemplateNode>> body;
  std::vector<std::unique_ptr<TemplateNode>> otherwise;
};

}  // namespace holdfast::client
