"""The loops of the encoder, compiled: a session's vector; in training, what a batch reads of the items' rows and leaves there.

All are of float32 and of one thread, so that a seed gives the same numbers again. A gradient is gathered in arrays of a row
an item, zero between steps; `touched` lists the rows that are not, and only they are worked through and cleared.
"""

from __future__ import annotations

import numpy as np

from recommendations.ranking.compiling import compiled_sums


@compiled_sums
def sum_contexts(
    inputs: np.ndarray, contexts: np.ndarray, codes: np.ndarray, by_lag: np.ndarray, by_code: np.ndarray, out: np.ndarray
) -> None:
    """out[b] = sum_l by_code[codes[b, l]] by_lag[l] * inputs[contexts[b, l]], and after it inputs[contexts[b, 0]].

    contexts : (B, LAGS) int32 items, the latest first, -1 from where there is none.  codes : (B, LAGS) int8, -1 of an event
    that is left out of the sum.  by_lag : (LAGS, d).  by_code : (codes,).  out : (B, 2 d).
    """
    d = inputs.shape[1]
    for b in range(len(contexts)):
        latest = contexts[b, 0]
        for j in range(d):
            out[b, j] = np.float32(0.0)
            out[b, d + j] = inputs[latest, j]
        for lag in range(contexts.shape[1]):
            item, code = contexts[b, lag], codes[b, lag]
            if item < 0:
                break
            if code < 0:
                continue
            weight = by_code[code]
            for j in range(d):
                out[b, j] += weight * by_lag[lag, j] * inputs[item, j]


@compiled_sums
def unit_rows(inputs: np.ndarray, items: np.ndarray, out: np.ndarray, length: np.ndarray) -> None:
    """out[r] = inputs[items[r]] / length[r], length its norm."""
    d = inputs.shape[1]
    for r in range(len(items)):
        item = items[r]
        total = np.float32(0.0)
        for j in range(d):
            total += inputs[item, j] * inputs[item, j]
        length[r] = max(np.sqrt(total), np.float32(1e-12))
        for j in range(d):
            out[r, j] = inputs[item, j] / length[r]


@compiled_sums
def normalise(x: np.ndarray, length: np.ndarray) -> None:
    """Rows to unit vectors, in place."""
    for r in range(len(x)):
        total = np.float32(0.0)
        for j in range(x.shape[1]):
            total += x[r, j] * x[r, j]
        length[r] = max(np.sqrt(total), np.float32(1e-12))
        for j in range(x.shape[1]):
            x[r, j] /= length[r]


@compiled_sums
def through_norm(gradient: np.ndarray, unit: np.ndarray, length: np.ndarray) -> None:
    """The gradient by unit = x / length becomes that by x, in place."""
    for r in range(len(gradient)):
        along = np.float32(0.0)
        for j in range(gradient.shape[1]):
            along += gradient[r, j] * unit[r, j]
        for j in range(gradient.shape[1]):
            gradient[r, j] = (gradient[r, j] - unit[r, j] * along) / length[r]


@compiled_sums
def drop_out(x: np.ndarray, dice: np.ndarray, least: int) -> None:
    """Numbers whose dice (uint8) fall below `least` become 0, the others grow by as much as those are missed. In place."""
    scale = np.float32(256.0 / (256.0 - least))
    for r in range(len(x)):
        for j in range(x.shape[1]):
            x[r, j] = x[r, j] * scale if dice[r, j] >= least else np.float32(0.0)


@compiled_sums
def shift_logits(
    logits: np.ndarray, own: np.ndarray, correction: np.ndarray, pool: np.ndarray, targets: np.ndarray, marked: np.ndarray
) -> None:
    """Ready for exp, in place: corrected, less the list's highest. Where the pool holds the target, it counts as `own` alone.

    logits : (B, K) of the pool.  own : (B,) of the target.  correction : (K,).  pool : (K,) items.  targets : (B,) items.
    marked : (n,) uint8, zero before and after.
    """
    size = len(pool)
    for k in range(size):
        marked[pool[k]] = 1
    lanes = np.empty(16, dtype=np.float32)  # a maximum of each: one of all can't be taken eight at a time
    for b in range(len(logits)):
        lanes[:] = own[b]
        for k in range(0, size - 15, 16):
            for j in range(16):
                value = logits[b, k + j] + correction[k + j]
                logits[b, k + j] = value
                lanes[j] = value if value > lanes[j] else lanes[j]
        for k in range(size - size % 16, size):
            logits[b, k] += correction[k]
            lanes[0] = max(lanes[0], logits[b, k])
        highest = lanes.max()
        if marked[targets[b]]:
            for k in range(size):
                if pool[k] == targets[b]:
                    logits[b, k] = np.float32(-1e30)
        own[b] -= highest
        for k in range(size):
            logits[b, k] -= highest
    for k in range(size):
        marked[pool[k]] = 0


@compiled_sums
def softmax_gradient(logits: np.ndarray, own: np.ndarray, share: np.ndarray, by_pool: np.ndarray) -> None:
    """exp(logit) becomes the loss's gradient by the logit, in place; by_pool its sum over the batch.

    share : (B,) weight of each example in the loss.  by_pool : (K,).
    """
    by_pool[:] = np.float32(0.0)
    for b in range(len(logits)):
        total = own[b]
        for k in range(len(by_pool)):
            total += logits[b, k]
        factor = share[b] / total
        for k in range(len(by_pool)):
            logits[b, k] *= factor
            by_pool[k] += logits[b, k]
        own[b] = own[b] * factor - share[b]


@compiled_sums
def add_contexts(
    inputs: np.ndarray,
    contexts: np.ndarray,
    codes: np.ndarray,
    by_lag: np.ndarray,
    by_code: np.ndarray,
    d_out: np.ndarray,
    gradient: np.ndarray,
    d_lag: np.ndarray,
    d_code: np.ndarray,
    marked: np.ndarray,
    touched: np.ndarray,
    count: int,
) -> int:
    """What `sum_contexts` owes to the items and to the logs of its weights, added up; the number of rows touched by now.

    d_out : (B, 2 d).  gradient : (n, d).  d_lag, d_code : as by_lag, by_code.  marked : (n,) uint8.
    touched : int32, `count` of them set.
    """
    d = inputs.shape[1]
    for b in range(len(contexts)):
        for lag in range(contexts.shape[1]):
            item, code = contexts[b, lag], codes[b, lag]
            if item < 0:
                break
            if lag > 0 and code < 0:
                continue
            if not marked[item]:
                marked[item] = 1
                touched[count] = item
                count += 1
            if lag == 0:
                for j in range(d):
                    gradient[item, j] += d_out[b, d + j]
            if code < 0:
                continue
            weight = by_code[code]
            along = np.float32(0.0)
            for j in range(d):
                pull = weight * by_lag[lag, j] * d_out[b, j]
                gradient[item, j] += pull
                pull *= inputs[item, j]
                d_lag[lag, j] += pull
                along += pull
            d_code[code] += along
    return count


@compiled_sums
def add_rows(
    rows: np.ndarray,
    by_bias: np.ndarray,
    items: np.ndarray,
    gradient: np.ndarray,
    bias_gradient: np.ndarray,
    marked: np.ndarray,
    touched: np.ndarray,
    count: int,
) -> int:
    """rows (r, d) and by_bias (r,) added to the items' gradients; the number of rows touched by now."""
    for r in range(len(items)):
        item = items[r]
        if not marked[item]:
            marked[item] = 1
            touched[count] = item
            count += 1
        for j in range(rows.shape[1]):
            gradient[item, j] += rows[r, j]
        bias_gradient[item, 0] += by_bias[r]
    return count


@compiled_sums
def adam_rows(
    value: np.ndarray, first: np.ndarray, second: np.ndarray, gradient: np.ndarray, rows: np.ndarray, rate: float, t: int
) -> None:
    """Kingma & Ba (2015), step t (from 1), of some rows; the others keep their moments as they are. Clears the gradient."""
    scale = np.float32(rate / (1.0 - 0.9**t))
    correct = np.float32(1.0 / (1.0 - 0.999**t))
    for r in range(len(rows)):
        row = rows[r]
        for j in range(value.shape[1]):
            g = gradient[row, j]
            gradient[row, j] = np.float32(0.0)
            m = np.float32(0.9) * first[row, j] + np.float32(0.1) * g
            v = np.float32(0.999) * second[row, j] + np.float32(0.001) * g * g
            first[row, j] = m
            second[row, j] = v
            value[row, j] -= scale * m / (np.sqrt(v * correct) + np.float32(1e-8))


@compiled_sums
def session_vector(
    inputs: np.ndarray,
    lag_weight: np.ndarray,
    code_weight: np.ndarray,
    mixing: np.ndarray,
    latest: np.ndarray,
    positions: np.ndarray,
    codes: np.ndarray,
    without: int,
) -> np.ndarray:
    """(d,) float32, `encoder.encode` of events positions (L,) int64 and codes (L,) int8, oldest first, less those of the item
    `without`; zero where none is left. inputs ... latest : of `Encoder.loops`. Raises IndexError for an item it has not."""
    d = inputs.shape[1]
    total, mixed = np.zeros(d, dtype=np.float32), np.zeros(d, dtype=np.float32)
    lag, newest = 0, -1
    for i in range(len(positions) - 1, -1, -1):
        item = positions[i]
        if item == without:
            continue
        if lag == len(lag_weight):
            break
        if item < 0 or item >= len(inputs):
            raise IndexError("an item of the history is not among the encoder's")
        if lag == 0:
            newest = item
        weight = code_weight[codes[i]]
        for j in range(d):
            total[j] += weight * lag_weight[lag, j] * inputs[item, j]
        lag += 1
    if newest < 0:
        return mixed
    square = np.float32(0.0)
    for i in range(d):
        pull = np.float32(0.0)
        for j in range(d):
            pull += mixing[i, j] * total[j] + latest[i, j] * inputs[newest, j]
        mixed[i] = pull
        square += pull * pull
    length = max(np.sqrt(square), np.float32(1e-12))
    for i in range(d):
        mixed[i] /= length
    return mixed


@compiled_sums
def affinities(centroids: np.ndarray, h: np.ndarray) -> np.ndarray:
    """(C,) float32 softmax(centroids (C, d) . h / 2)."""
    out = np.empty(len(centroids), dtype=np.float32)
    most = np.float32(-1e30)
    for c in range(len(centroids)):
        row, pull = centroids[c], np.float32(0.0)
        for k in range(len(h)):
            pull += row[k] * h[k]
        out[c] = np.float32(0.5) * pull
        most = max(most, out[c])
    total = np.float32(0.0)
    for c in range(len(out)):
        out[c] = np.exp(out[c] - most)
        total += out[c]
    for c in range(len(out)):
        out[c] /= total
    return out


@compiled_sums
def session_read(
    inputs: np.ndarray,
    lag_weight: np.ndarray,
    code_weight: np.ndarray,
    mixing: np.ndarray,
    latest: np.ndarray,
    positions: np.ndarray,
    codes: np.ndarray,
    centroids: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """`session_vector` of all events, and its `affinities`."""
    h = session_vector(inputs, lag_weight, code_weight, mixing, latest, positions, codes, -1)
    return h, affinities(centroids, h)


@compiled_sums
def event_pulls(
    inputs: np.ndarray,
    lag_weight: np.ndarray,
    code_weight: np.ndarray,
    mixing: np.ndarray,
    latest: np.ndarray,
    outputs: np.ndarray,
    rows: np.ndarray,
    positions: np.ndarray,
    codes: np.ndarray,
) -> np.ndarray:
    """(events, r) float32, `encoder.event_parts` for the r outputs at `rows`; the others as for `session_vector`."""
    length, d = len(positions), inputs.shape[1]
    count = min(length, len(lag_weight))
    parts = np.zeros((count, len(rows)), dtype=np.float32)
    weighed, pulled = np.empty(d, dtype=np.float32), np.empty(d, dtype=np.float32)
    for lag in range(count):
        item = positions[length - 1 - lag]
        weight = code_weight[codes[length - 1 - lag]]
        for j in range(d):
            weighed[j] = weight * lag_weight[lag, j] * inputs[item, j]
        for i in range(d):
            pull = np.float32(0.0)
            for j in range(d):
                pull += mixing[i, j] * weighed[j]
            if lag == 0:
                for j in range(d):
                    pull += latest[i, j] * inputs[item, j]
            pulled[i] = pull
        for r in range(len(rows)):
            part = np.float32(0.0)
            for j in range(d):
                part += outputs[rows[r], j] * pulled[j]
            parts[lag, r] = part
    return parts
