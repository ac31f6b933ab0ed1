#pragma once
// What students of ETH Zurich thought of their lecturers, from R's lme4 (`InstEval`; Bates,
// Maechler, Bolker and Walker, "Fitting Linear Mixed-Effects Models Using lme4", J. Stat. Softw.
// 67, 2015): 73,421 ratings from 1 to 5 by 2,972 students of 1,128 lecturers.
//
// A rating's attributes are categories, numbered from 0 in one range after another, so that a row
// is the list of the columns in which it has a 1: the lecturer, the student's age in semesters,
// that of the lecture, whether it was held for another department, and the department.

#include <array>
#include <vector>

#include "runtime/base/file.h"

namespace inkling {

inline constexpr std::string_view kStudentRatingsStem = "/usr/lib/R/site-library/lme4/data/Rdata";
inline constexpr std::size_t kStudentRatingAttributes = 5;
inline constexpr std::uint32_t kStudentRatingMax = 5;

struct StudentRating {
  std::uint32_t student = 0;                                         // from 0
  std::array<std::uint32_t, kStudentRatingAttributes> columns = {};  // each < StudentRatings::width
  std::uint32_t value = 0;                                           // 1..kStudentRatingMax
};

struct StudentRatings {
  std::size_t students = 0;
  std::size_t width = 0;                 // columns of all attributes
  std::vector<StudentRating> ratings{};  // a student's together, students ascending
};

// kNotFound says which package to install; kCorrupt, kInvalidArgument and the errors of
// read_rdata() name the file and what is unlike the survey.
Result<StudentRatings> load_student_ratings(const Path& stem = Path(kStudentRatingsStem));

}  // namespace inkling
