"""Why the gradient stops: Jacobian spectra, Lyapunov exponents, attribution, and what theory alone says."""
