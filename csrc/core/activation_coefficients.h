// Written by activation_coefficients.py; change that, not this.
#pragma once

namespace bptt::BPTT_ISA {

template <class T>
struct ExpPolynomial;

// largest relative error of exp(r) - 1: 1.32e-8
template <>
struct ExpPolynomial<float> {
  static constexpr float kLog2e = 1.4426950408889634074f;
  static constexpr float kLn2High = 0.69311523437500000000f;
  static constexpr float kLn2Low = 0.000031946184945309417232f;
  static constexpr int kTerms = 5;
  static constexpr float kCoefficients[kTerms] = {
      0.49999998154119014838f,
      0.16666543621024165221f,
      0.041667199840991113574f,
      0.0083665205814360857865f,
      0.0013882522552471655587f,
  };
};

// largest relative error of exp(r) - 1: 1.8e-17
template <>
struct ExpPolynomial<double> {
  static constexpr double kLog2e = 1.4426950408889634074;
  static constexpr double kLn2High = 0.69314718060195446014;
  static constexpr double kLn2Low = -4.2009150726810847292e-11;
  static constexpr int kTerms = 10;
  static constexpr double kCoefficients[kTerms] = {
      0.50000000000000051792,
      0.16666666666666589265,
      0.041666666666576755269,
      0.0083333333333895618095,
      0.0013888888931564789970,
      0.00019841269718984982881,
      0.000024801505273823518904,
      2.7557407562462797998e-6,
      2.7626037895203302154e-7,
      2.5053768742239467515e-8,
  };
};

}  // namespace bptt::BPTT_ISA
