#pragma once

#include <string>

#include "network/networks.h"

namespace holdfast {

// An Attachment as it lies below exec_root: JSON, with all that a new daemon needs to go on from
// there or to undo it.
std::string attachment_document(const Attachment& attachment);
Result<Attachment> parse_attachment(const std::string& document);

}  // namespace holdfast
