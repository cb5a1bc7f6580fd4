#include "client/template/parser.h"

#include "client/template/functions.h"
#include "client/template/lexer.h"

namespace holdfast::client {
namespace {

using Kind = TemplateToken::Kind;
using Nodes = std::vector<std::unique_ptr<TemplateNode>>;

// Recursive descent over the tokens. Depth is bounded by kMaxDepth.
class Parser {
 public:
  explicit Parser(std::vector<TemplateToken> tokens) : tokens_(std::move(tokens)) {}

  Result<Nodes> run() {
    ASSIGN_OR_RETURN(auto nodes, list());
    if (!stop_word_.empty()) return invalid(fmt::format("unexpected {{{{{}}}}}", stop_word_));
    return nodes;
  }

 private:
  static constexpr int kMaxDepth = 100;

  const TemplateToken& peek() const { return tokens_[at_]; }
  TemplateToken next() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool at_word(std::string_view word) const {
    return peek().kind == Kind::kWord && peek().text == word;
  }

  tl::unexpected<Error> invalid(std::string_view what) const {
    return fail(Code::kInvalidArgument, ":1: {}", what);
  }

  // Nodes up to {{end}}, {{else}} or the end of the text; stop_word_ says which.
  Result<Nodes> list() {
    Nodes nodes;
    stop_word_.clear();
    while (peek().kind != Kind::kEnd) {
      TemplateToken token = next();
      if (token.kind == Kind::kText) {
        auto node = std::make_unique<TemplateNode>();
        node->text = token.text;
        nodes.push_back(std::move(node));
        continue;
      }
      if (at_word("end") || at_word("else")) {
        stop_word_ = next().text;
        return nodes;
      }
      ASSIGN_OR_RETURN(auto node, action());
      nodes.push_back(std::move(node));
    }
    return nodes;
  }

  Status close(std::string_view context) {
    if (next().kind != Kind::kClose) return invalid(fmt::format("unexpected token in {}", context));
    return {};
  }

  Result<std::unique_ptr<TemplateNode>> action() {
    auto node = std::make_unique<TemplateNode>();
    using NodeKind = TemplateNode::Kind;
    if (at_word("if") || at_word("range") || at_word("with")) {
      std::string word = next().text;
      node->kind = word == "if"      ? NodeKind::kIf
                   : word == "range" ? NodeKind::kRange
                                     : NodeKind::kWith;
      RETURN_IF_ERROR(control(*node, word));
      return node;
    }
    if (at_word("break") || at_word("continue")) {
      node->kind = next().text == "break" ? NodeKind::kBreak : NodeKind::kContinue;
      RETURN_IF_ERROR(close("break or continue"));
      return node;
    }
    node->kind = NodeKind::kAction;
    ASSIGN_OR_RETURN(node->pipeline, pipeline("command"));
    RETURN_IF_ERROR(close("command"));
    return node;
  }

  Status control(TemplateNode& node, const std::string& word) {
    if (++depth_ > kMaxDepth) return invalid("template nested too deep");
    ASSIGN_OR_RETURN(node.pipeline, pipeline(word));
    RETURN_IF_ERROR(close(word));
    ASSIGN_OR_RETURN(node.body, list());
    if (stop_word_ == "else" && (at_word("if") || at_word("with"))) {
      // {{else if}} is an if within the else, sharing its {{end}}.
      ASSIGN_OR_RETURN(auto nested, action());
      node.otherwise.push_back(std::move(nested));
      --depth_;
      return {};
    }
    if (stop_word_ == "else") {
      RETURN_IF_ERROR(close("else"));
      ASSIGN_OR_RETURN(node.otherwise, list());
    }
    if (stop_word_ != "end") return invalid("unexpected EOF");
    RETURN_IF_ERROR(close("end"));
    stop_word_.clear();
    --depth_;
    return {};
  }

  // "$x :=", "$i, $x :=" and "$x =" in front of a pipeline.
  void declarations(TemplatePipeline& pipeline) {
    std::size_t saved = at_;
    std::vector<std::string> names;
    while (peek().kind == Kind::kVariable) {
      names.push_back(next().text);
      if (peek().kind != Kind::kComma) break;
      next();
    }
    bool declares = peek().kind == Kind::kDeclare;
    if (!names.empty() && (declares || peek().kind == Kind::kAssign)) {
      next();
      pipeline.variables = std::move(names);
      pipeline.declares = declares;
    } else {
      at_ = saved;
    }
  }

  Result<TemplatePipeline> pipeline(std::string_view context) {
    TemplatePipeline result;
    declarations(result);
    while (true) {
      ASSIGN_OR_RETURN(auto command, this->command());
      if (command.operands.empty()) return invalid(fmt::format("missing value for {}", context));
      result.commands.push_back(std::move(command));
      if (peek().kind != Kind::kPipe) return result;
      next();
    }
  }

  Result<TemplateCommand> command() {
    TemplateCommand result;
    while (peek().kind != Kind::kPipe && peek().kind != Kind::kClose &&
           peek().kind != Kind::kCloseParen) {
      ASSIGN_OR_RETURN(auto operand, this->operand());
      result.operands.push_back(std::move(operand));
    }
    return result;
  }

  Result<TemplateOperand> operand() {
    TemplateToken token = next();
    TemplateOperand result;
    result.text = token.text;
    using OperandKind = TemplateOperand::Kind;
    switch (token.kind) {
      case Kind::kDot:
        break;
      case Kind::kField:
        result.fields.push_back(token.text);
        result.text = "." + token.text;
        break;
      case Kind::kVariable:
        result.kind = OperandKind::kVariable;
        result.name = token.text;
        break;
      case Kind::kLiteral:
        result.kind = OperandKind::kLiteral;
        result.literal = token.literal;
        return result;
      case Kind::kWord:
        return word(token.text);
      case Kind::kOpenParen: {
        if (++depth_ > kMaxDepth) return invalid("template nested too deep");
        result.kind = OperandKind::kPipeline;
        ASSIGN_OR_RETURN(auto inner, pipeline("parenthesized pipeline"));
        result.pipeline = std::make_unique<TemplatePipeline>(std::move(inner));
        if (next().kind != Kind::kCloseParen) return invalid("unclosed left paren");
        --depth_;
        break;
      }
      case Kind::kEnd:
        return invalid("unclosed action");
      default:
        return invalid(fmt::format("unexpected \"{}\" in operand", token.text));
    }
    while (peek().kind == Kind::kField && peek().joined) {
      result.fields.push_back(next().text);
      result.text += "." + result.fields.back();
    }
    return result;
  }

  Result<TemplateOperand> word(const std::string& text) {
    TemplateOperand result;
    result.text = text;
    result.kind = TemplateOperand::Kind::kLiteral;
    if (text == "true" || text == "false") {
      result.literal = text == "true";
    } else if (text != "nil") {
      if (!template_function_exists(text))
        return invalid(fmt::format("function \"{}\" not defined", text));
      result.kind = TemplateOperand::Kind::kFunction;
      result.name = text;
    }
    return result;
  }

  std::vector<TemplateToken> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
  std::string stop_word_;
};

}  // namespace

Result<Nodes> parse_template(std::string_view text) {
  ASSIGN_OR_RETURN(auto tokens, lex_template(text));
  return Parser(std::move(tokens)).run();
}

}  // namespace holdfast::client
