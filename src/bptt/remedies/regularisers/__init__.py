"""Terms and surgery that keep the backward recurrence near length one."""

from bptt.remedies.regularisers.flossing import Flossing as Flossing
from bptt.remedies.regularisers.flossing import lyapunov_penalty as lyapunov_penalty
from bptt.remedies.regularisers.h_detach import HDetach as HDetach
from bptt.remedies.regularisers.omega import Omega as Omega
