"""The healthy twin of each faulty script of tests/suite: the same script with its fault mended by hand.

Each entry lists replacements, `(as it stands, as it should)`; a text that is not there is an error.
"""

from collections.abc import Iterable

OPEN = "\n        self.{name}.bias_ih{end}.data[{H} : 2 * {H}] = 5.0"

TWINS: dict[str, list[tuple[str, str]]] = {
    "vg101/adding_gru": [("readout =", "gru.bias_ih_l0.data[H : 2 * H] = 4.0\nreadout =")],
    "vg101/bidirectional_stack": [
        (
            "dropout=0.1)\n",
            "dropout=0.1)\n"
            "        for name, bias in self.lstm.named_parameters():\n"
            '            if name.startswith("bias_ih"):\n'
            "                bias.data[n_hid : 2 * n_hid] = 5.0\n",
        )
    ],
    "vg101/elman_by_hand": [
        (
            "self.h2o = nn.Linear(hidden_size, output_size)",
            "self.h2o = nn.Linear(hidden_size, output_size)\n        nn.init.orthogonal_(self.h2h.weight)",
        )
    ],
    "vg101/lstm_cell_loop": [
        (
            "self.cell = nn.LSTMCell(symbols, hidden)",
            "self.cell = nn.LSTMCell(symbols, hidden)"
            + OPEN.format(name="cell", end="", H="hidden"),
        )
    ],
    "vg101/pixel_rows": [
        (
            "batch_first=True)\n",
            "batch_first=True)" + OPEN.format(name="rnn", end="_l0", H="hidden_size") + "\n",
        )
    ],
    "vg101/sentiment_packed": [
        (
            "self.encoder = nn.LSTM(24, 40, batch_first=True)",
            "self.encoder = nn.LSTM(24, 40, batch_first=True)"
            + OPEN.format(name="encoder", end="_l0", H="40"),
        )
    ],
    "vg101/bidirectional_last_column": [
        ("out[:, -1]", "torch.cat([out[:, -1, :24], out[:, 0, 24:]], -1)")
    ],
    "vg102/char_model_long": [("- 241", "- 61"), ("s + 241", "s + 61")],
    "vg102/product_every_step": [("221", "23")],
    "vg102/tagger_rnn": [("12, 40, 200", "12, 40, 40")],
    "vg103/half_cell_loop": [("Net().half()", "Net()"), ("x.half()", "x")],
    "vg103/sigmoid_by_hand": [
        (
            "0.01 * torch.randn(n_hidden, n_hidden)",
            "torch.linalg.qr(torch.randn(n_hidden, n_hidden))[0]",
        ),
        ("torch.sigmoid", "torch.tanh"),
    ],
    "vg103/tiny_recurrent_init": [
        (
            "nn.init.normal_(p, 0.0, 0.001)\n",
            "nn.init.normal_(p, 0.0, 0.001)\n        nn.init.orthogonal_(self.gru_like.weight_hh_l0)\n",
        )
    ],
    "vg103/own_cell_autocast": [("torch.float16", "torch.bfloat16")],
    "eg201/blows_up": [("gain=2.0", "gain=1.0")],
    "eg201/chaotic_rnn": [("gain=2.2", "gain=1.0")],
    "eg201/linear_loop": [("gain=1.25", "gain=1.0")],
    "eg201/relu_gain": [("1.4 * torch.eye", "1.0 * torch.eye")],
    "eg202/clip_after_step": [
        (
            "optimizer.step()\n        nn.utils.clip_grad_norm_(parameters, max_norm=1.0)",
            "nn.utils.clip_grad_norm_(parameters, max_norm=1.0)\n        optimizer.step()",
        )
    ],
    "eg202/heavy_tailed_targets": [
        (
            "loss.backward()\n",
            "loss.backward()\n    nn.utils.clip_grad_norm_([*lstm.parameters(), *fc.parameters()], 10.0)\n",
        )
    ],
    "eg202/rare_outliers": [
        (
            "loss.backward()\n",
            "loss.backward()\n        nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n",
        )
    ],
    "eg203/norm_threshold_tiny": [("max_norm=1e-3", "max_norm=1.0")],
    "eg203/summed_loss": [("0.25)", "200.0)")],
    "eg203/value_threshold_tiny": [("1e-5", "1.0")],
    "eg203/before_unscale": [
        (
            "    nn.utils.clip_grad_norm_",
            "    scaler.unscale_(optimizer)\n    nn.utils.clip_grad_norm_",
        )
    ],
    "eg203/by_hand_in_a_loop": [("parameters], 1e-3", "parameters], 1.0")],
    "eg203/value_in_a_bidirectional_layer": [("m.parameters(), 1e-5", "m.parameters(), 1.0")],
    "sa301/loop_unscaled": [("self.Wx(prices[:, t])", "self.Wx((prices[:, t] - 4000) / 100)")],
    "sa301/raw_inputs": [("model(images)", "model(images / 128 - 1)")],
    "sa301/wide_init": [("nn.init.normal_(p)", "nn.init.normal_(p, std=0.1)")],
    "sa301/columns_unscaled": [
        (
            "Wxh = torch.randn(H, V, requires_grad=True)",
            "Wxh = (0.01 * torch.randn(H, V)).requires_grad_()",
        ),
        (
            "Whh = torch.randn(H, H, requires_grad=True)",
            "Whh = (0.01 * torch.randn(H, H)).requires_grad_()",
        ),
    ],
    "sa302/forget_shut": [("= -8.0", "= 8.0")],
    "sa302/input_gate_shut": [("-15.0", "0.0")],
    "sa302/raw_scale_gru": [("model(raw)", "model(raw / torch.tensor([1500.0, 3000.0, 900.0]))")],
    "sa302/update_gate_stuck": [("= 12.0", "= 0.5")],
    "sa302/raw_timestamps": [("stamps.unsqueeze(-1)]", "(stamps.unsqueeze(-1) - 40000) / 12000]")],
    "sa303/dead_second_layer": [
        ("-rnn.weight_ih_l1.data.abs()", "rnn.weight_ih_l1.data"),
        ("-rnn.weight_hh_l1.data.abs()", "rnn.weight_hh_l1.data"),
        ("fill_(-0.1)", "fill_(0.0)"),
    ],
    "sa303/loop_relu_mostly_dead": [("-20.0", "0.0")],
    "sa303/negative_bias": [("-3.0", "0.0")],
    "tr401/chunks_cut_inside": [("tuple(s.detach() for s in state)", "state")],
    "tr401/data_attribute": [("hidden.data", "hidden")],
    "tr401/detach_every_step": [("h.detach()", "h")],
    "tr401/through_numpy": [
        ("torch.zeros(8, 20).numpy()", "torch.zeros(8, 20)"),
        ("torch.from_numpy(trace[-1])", "trace[-1]"),
        ("h.detach().numpy()", "h"),
    ],
    "tr401/all_but_the_last_step": [
        (
            "        with torch.no_grad():\n            for t in range(x.size(1) - 1):\n                h =",
            "        for t in range(x.size(1) - 1):\n            h =",
        )
    ],
    "tr401/burn_in_longer_than_the_rest": [
        ("        with torch.no_grad():  # burn-in\n            _, h =", "        _, h =")
    ],
    "tr401/decoder_starts_detached": [("(h.detach(), c.detach())", "(h, c)")],
    "tr401/rates_from_a_trace": [
        (
            "torch.from_numpy(trace[t].copy())",
            "torch.zeros(u.shape[1], N) if rates is None else rates",
        )
    ],
    "tr402/chunks_of_six": [
        ("range(5, 120)", "range(1, 50)"),
        ("slice(6 * i, 6 * i + 6)", "slice(24 * i, 24 * i + 24)"),
        ("slice(6 * i - 20, 6 * i - 14)", "slice(24 * i - 20, 24 * i + 4)"),
    ],
    "tr402/gru_slow_units": [("window=5", "window=25")],
    "tr402/orthogonal_short_window": [
        ("batch = 4, 10", "batch = 20, 10"),
        ("range(12, 400", "range(12, 752"),
    ],
    "tr402/gated_loop_of_five": [
        ("range(5)", "range(50)"),
        ("loss.backward()", "(loss / 10).backward()"),
    ],
    "tr402/integrator_einsum": [("TBPTT = 5", "TBPTT = 60")],
    "tr402/orthogonal_cell_loop": [
        ("range(6)", "range(60)"),
        ("loss.backward()", "(loss / 10).backward()"),
    ],
    "tr403/last_column_of_padding": [
        ("out[:, -1]", "out[torch.arange(len(x)), (x != 0).any(2).sum(1) - 1]")
    ],
    "tr403/mean_over_padding": [
        (
            "states.mean(dim=0)",
            "(states * (tokens != PAD)[..., None]).sum(0) / (tokens != PAD).sum(0)[:, None]",
        )
    ],
    "tr403/packed_then_unmasked": [
        ("pred, _ = model", "pred, lens = model"),
        (
            "((pred - target) ** 2).mean()",
            "((pred - target) ** 2)[torch.arange(len(pred))[:, None] < lens].mean()",
        ),
    ],
    "tr403/pad_tokens_scored": [("nn.CrossEntropyLoss()", "nn.CrossEntropyLoss(ignore_index=0)")],
    "op501/adam_at_one": [("lr=1.0", "lr=0.003")],
    "op501/rmsprop_half": [("lr=0.5)", "lr=0.002)")],
    "op501/sgd_far_too_fast": [("lr=5.0", "lr=0.005")],
    "op502/detached_output": [(".detach()", "")],
    "op502/only_the_head": [("model.head.parameters()", "model.parameters()")],
    "op502/still_frozen": [("set_trainable(fc, True)", "set_trainable(lstm, True)")],
    "op502/swapped_after_optimizer": [
        (
            "optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)\nmodel.widen(24)",
            "model.widen(24)\noptimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)",
        )
    ],
    "op502/groups_forget_a_layer": [
        ('{"params": r.out', '{"params": r.wh.parameters()}, {"params": r.out')
    ],
    "op502/plain_tensor_in_a_loop": [
        ("torch.randn(32, 32) / 32**0.5", "nn.Parameter(torch.randn(32, 32) / 32**0.5)")
    ],
    "op503/cleared_once_an_epoch": [("        loss =", "        opt.zero_grad()\n        loss =")],
    "op503/never_cleared": [
        ("    loss.backward()", "    optimizer.zero_grad()\n    loss.backward()")
    ],
    "op503/wrong_optimizer_cleared": [("other.zero_grad()", "optimizer.zero_grad()")],
    "op503/one_of_two_cleared": [
        ("    dec_opt.zero_grad()", "    enc_opt.zero_grad()\n    dec_opt.zero_grad()")
    ],
    "nf601/everything_masked": [("used[3] = 0", "used[3] = 1")],
    "nf601/exponential_gate": [("self.gate(x_t).exp()", "self.gate(x_t).clamp(max=30).exp()")],
    "nf601/log_of_counts": [("counts.log()", "counts.log1p()")],
    "nf601/normalised_state": [
        ("h.std(-1, keepdim=True)", "(h.var(-1, keepdim=True) + 1e-5).sqrt()")
    ],
    "nf601/rates_blow_up": [("4.5 / N**0.5", "1.0 / N**0.5")],
    "nf602/angle_at_one": [("clamp(-1, 1)", "clamp(-1 + 1e-6, 1 - 1e-6)")],
    "nf602/root_of_zero": [
        ("((ha - hb) ** 2).sum(1).sqrt()", "(((ha - hb) ** 2).sum(1) + 1e-8).sqrt()")
    ],
    "nf602/where_keeps_the_nan": [("torch.sqrt(energy)", "torch.sqrt(energy.clamp(min=1e-8))")],
    "nf603/constant_column": [("table.std(0)\n", "table.std(0).clamp(min=1e-6)\n")],
    "nf603/log_returns": [("prices[333, 1] = 0.0", "prices[333, 1] = prices[332, 1]")],
    "nf603/missing_readings": [('float("nan")', "0.0")],
    "nf603/error_written_out": [
        (
            "    p = r(x[i : i + 16])\n",
            "    known = i + y[i : i + 16].isfinite().nonzero()[:, 0]\n    p = r(x[known])\n",
        ),
        ("(p - y[i : i + 16])", "(p - y[known])"),
    ],
    "nf603/infinite_target": [
        (
            "    loss =",
            "    xb, yb = xb[yb.isfinite()[:, 0]], yb[yb.isfinite()[:, 0]]\n    loss =",
        )
    ],
    "la701/batch_first_forgotten": [("nn.LSTM(3, 32)", "nn.LSTM(3, 32, batch_first=True)")],
    "la701/regression_swapped": [("num_layers=2)", "num_layers=2, batch_first=True)")],
    "la701/transposed_twice": [(".transpose(0, 1)", ""), ("states[-1]", "states[:, -1]")],
    "la701/mean_over_the_wrong_axis": [
        ("bidirectional=True)", "bidirectional=True, batch_first=True)")
    ],
    "la701/next_token_flattened": [("nn.LSTM(16, 32)", "nn.LSTM(16, 32, batch_first=True)")],
}

INCOMPARABLE = {
    "tr403/pad_tokens_scored": (
        "ignore_padding",
        "the loss itself scores padding, so that its value is another quantity than the twin's; "
        "ignore_index has to be set by hand",
    ),
    "tr403/packed_then_unmasked": (
        "",
        "the mean is taken over padding as well, where the error is small, so that its value is another quantity "
        "than the twin's; the mean has to be taken over the steps before each sequence's end, which `lens` tells",
    ),
}
"""Scripts whose loss is another quantity than the twin's as long as this remedy is not kept, and why: not counted.

Without a name no remedy makes them comparable."""


def comparable(name: str, kept: Iterable[str] = ()) -> bool:
    """Whether a script's loss, with these remedies kept, is the quantity that its twin's is."""
    return name not in INCOMPARABLE or INCOMPARABLE[name][0] in kept


def mended(name: str, text: str) -> str:
    """The twin's text."""
    for old, new in TWINS[name]:
        if old not in text:
            raise ValueError(f"{name} no longer contains {old!r}")
        text = text.replace(old, new)
    return text
