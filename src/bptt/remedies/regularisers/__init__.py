"""Terms and surgery that keep the backward recurrence near length one."""
