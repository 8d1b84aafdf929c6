/**
 * From a native grid to the film's pixels, and back. Pure functions.
 *
 * A grid covers the rectangle `extent` = [x0, y0, x1, y1] of the original image, in its pixels; the rectangle may reach
 * beyond the image, where the network's input was padded. Interpolation is bilinear with half-pixel centres: the value of
 * a cell sits at the cell's centre, and between the outermost centres and the rectangle's edge the edge value holds. Beyond
 * the rectangle the network saw nothing: the value there is 0.
 */

/** For each of `count` pixels that cover `length` original pixels: the two neighbouring cells and the weight of the second. */
function axisWeights(count, length, from, to, cells) {
  const lower = new Int32Array(count);
  const upper = new Int32Array(count);
  const weight = new Float64Array(count);
  const seen = new Uint8Array(count);
  for (let p = 0; p < count; p += 1) {
    const original = ((p + 0.5) * length) / count;
    const cell = ((original - from) / (to - from)) * cells - 0.5;
    const clamped = Math.min(Math.max(cell, 0), cells - 1);
    lower[p] = Math.min(Math.floor(clamped), cells - 1);
    upper[p] = Math.min(lower[p] + 1, cells - 1);
    weight[p] = clamped - lower[p];
    seen[p] = original >= from && original <= to ? 1 : 0;
  }
  return { lower, upper, weight, seen };
}

/**
 * The grid's values at every pixel of a film shown with `width` x `height` pixels.
 * `image` is the original's size; returns a Float32Array in row order.
 */
export function gridOnFilm(grid, extent, image, width, height) {
  const [x0, y0, x1, y1] = extent;
  const across = axisWeights(width, image.width, x0, x1, grid[0].length);
  const down = axisWeights(height, image.height, y0, y1, grid.length);
  const values = new Float32Array(width * height);
  for (let y = 0; y < height; y += 1) {
    if (!down.seen[y]) continue;
    const above = grid[down.lower[y]];
    const below = grid[down.upper[y]];
    const v = down.weight[y];
    for (let x = 0; x < width; x += 1) {
      if (!across.seen[x]) continue;
      const l = across.lower[x];
      const u = across.upper[x];
      const h = across.weight[x];
      const top = above[l] + (above[u] - above[l]) * h;
      const bottom = below[l] + (below[u] - below[l]) * h;
      values[y * width + x] = top + (bottom - top) * v;
    }
  }
  return values;
}

/** The cell [row, column] under a point of the original image, or null outside the extent. */
export function cellAt(grid, extent, x, y) {
  const [x0, y0, x1, y1] = extent;
  const column = Math.floor(((x - x0) / (x1 - x0)) * grid[0].length);
  const row = Math.floor(((y - y0) / (y1 - y0)) * grid.length);
  const inside = row >= 0 && column >= 0 && row < grid.length && column < grid[0].length;
  return inside ? [row, column] : null;
}

/** The rectangle of one cell in original pixels, [x0, y0, x1, y1]. */
export function cellBox(grid, extent, row, column) {
  const [x0, y0, x1, y1] = extent;
  const w = (x1 - x0) / grid[0].length;
  const h = (y1 - y0) / grid.length;
  return [x0 + column * w, y0 + row * h, x0 + (column + 1) * w, y0 + (row + 1) * h];
}

/** Row and column of the greatest cell. */
export function argmaxCell(grid) {
  let best = [0, 0];
  grid.forEach((row, i) => row.forEach((v, j) => {
    if (v > grid[best[0]][best[1]]) best = [i, j];
  }));
  return best;
}

/**
 * Boxes around the connected parts of a map at or above half of its maximum, in original pixels, with each part's
 * share of the whole map's sum; the greatest share first. Used when alpha or the direction changed in the page.
 */
export function regionsAboveHalf(values, width, height, image) {
  let top = 0;
  let total = 0;
  for (const v of values) {
    if (v > top) top = v;
    total += v;
  }
  if (top <= 0) return [];
  const seen = new Uint8Array(values.length);
  const regions = [];
  const stack = [];
  for (let start = 0; start < values.length; start += 1) {
    if (seen[start] || values[start] < top / 2) continue;
    let [left, upper, right, lower, sum] = [width, height, 0, 0, 0];
    seen[start] = 1;
    stack.push(start);
    while (stack.length > 0) {
      const p = stack.pop();
      const x = p % width;
      const y = (p - x) / width;
      sum += values[p];
      left = Math.min(left, x);
      right = Math.max(right, x);
      upper = Math.min(upper, y);
      lower = Math.max(lower, y);
      for (const [q, ok] of [[p - 1, x > 0], [p + 1, x < width - 1], [p - width, y > 0], [p + width, y < height - 1]]) {
        if (ok && !seen[q] && values[q] >= top / 2) {
          seen[q] = 1;
          stack.push(q);
        }
      }
    }
    const sx = image.width / width;
    const sy = image.height / height;
    const box = [left * sx, upper * sy, (right + 1) * sx, (lower + 1) * sy].map(Math.round);
    regions.push({ box, zone: null, share: sum / total });
  }
  return regions.sort((a, b) => b.share - a.share);
}
