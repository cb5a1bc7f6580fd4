#pragma once

#include <memory>

#include "base/error.h"
#include "http/server.h"

typedef struct ssl_ctx_st SSL_CTX;

namespace holdfast::http {

// A server's TLS identity that accepts only clients whose certificate `files.ca` has signed;
// TLS 1.2 and later. kInvalidArgument, naming the file, when one can't be read or the key isn't the
// certificate's.
Result<std::shared_ptr<SSL_CTX>> make_tls_context(const TlsFiles& files);

}  // namespace holdfast::http
