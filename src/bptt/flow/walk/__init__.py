"""The backward recurrence walked again: the total gradient, the costate and the credit of every step."""
