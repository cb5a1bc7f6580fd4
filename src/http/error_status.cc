#include "http/error_status.h"

namespace holdfast::http {

int http_status(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return 400;
    case Code::kUnauthenticated:
      return 401;
    case Code::kPermissionDenied:
      return 403;
    case Code::kNotFound:
      return 404;
    case Code::kAlreadyExists:
    case Code::kConflict:
      return 409;
    case Code::kFailedPrecondition:
      return 412;
    case Code::kNotImplemented:
      return 501;
    case Code::kUnavailable:
      return 503;
    // Docker has no words of its own for these: a full disk, a timeout and damage all are 500.
    case Code::kResourceExhausted:
    case Code::kAborted:
    case Code::kCancelled:
    case Code::kDeadlineExceeded:
    case Code::kDataLoss:
    case Code::kInternal:
      return 500;
  }
  return 500;
}

}  // namespace holdfast::http
