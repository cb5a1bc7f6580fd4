#include "client/text_table.h"

#include <gtest/gtest.h>

namespace holdfast::client {
namespace {

TEST(TextTable, AlignsLikeTabwriter) {
  EXPECT_EQ(align_columns("DRIVER\tVOLUME NAME\nlocal\ta\n"),
            "DRIVER    VOLUME NAME\nlocal     a\n");
  EXPECT_EQ(align_columns("A\tB\tC\nlonger than ten\t\tc\n"),
            "A                 B         C\nlonger than ten             c\n");
}

TEST(TextTable, CountsCodePoints) {
  EXPECT_EQ(align_columns("\"sleep…\"\tx\nabcdefghijk\ty\n"),
            "\"sleep…\"      x\nabcdefghijk   y\n");
}

TEST(TextTable, EllipsisKeepsTheWidth) {
  EXPECT_EQ(ellipsis("abcdef", 6), "abcdef");
  EXPECT_EQ(ellipsis("abcdefg", 6), "abcde…");
  EXPECT_EQ(ellipsis("äöüß", 3), "äö…");
}

}  // namespace
}  // namespace holdfast::client
