"use strict";
/**
 * Tidy tree layout in linear time (Buchheim, Jünger and Leipert 2002).
 *
 * `children[v]` lists the children of node v in order; node 0 is the root. Returns the place of each node across
 * the tree: neighbours on a level are at least `gap(a, b)` apart, parents are centred, equal subtrees look equal.
 */
function tidy(children, gap) {
  const count = children.length;
  const numbers = () => new Float64Array(count);
  const place = numbers(), mod = numbers(), shift = numbers(), change = numbers(), rank = new Int32Array(count);
  const thread = new Int32Array(count).fill(-1), parent = new Int32Array(count).fill(-1);
  const ancestor = Int32Array.from(children, (_, v) => v);
  children.forEach((below, v) => below.forEach((w, i) => { parent[w] = v; rank[w] = i; }));
  const first = (v) => (children[v].length ? children[v][0] : thread[v]);
  const last = (v) => (children[v].length ? children[v][children[v].length - 1] : thread[v]);

  function settle(v) {
    const below = children[v];
    const left = rank[v] > 0 ? children[parent[v]][rank[v] - 1] : -1;
    let middle = 0;
    if (below.length) {
      let fallback = below[0];
      for (const w of below) {
        settle(w);
        fallback = apportion(w, fallback);
      }
      spread(v);
      middle = (place[below[0]] + place[below[below.length - 1]]) / 2;
    }
    place[v] = left < 0 ? middle : place[left] + gap(left, v);
    mod[v] = place[v] - middle;
  }

  // Pushes the subtree of v away from its left siblings' subtrees, along their facing contours.
  function apportion(v, fallback) {
    if (rank[v] === 0) return fallback;
    const siblings = children[parent[v]];
    let innerRight = v, outerRight = v, innerLeft = siblings[rank[v] - 1], outerLeft = siblings[0];
    let sumInnerRight = mod[v], sumOuterRight = mod[v], sumInnerLeft = mod[innerLeft], sumOuterLeft = mod[outerLeft];
    while (last(innerLeft) >= 0 && first(innerRight) >= 0) {
      innerLeft = last(innerLeft); innerRight = first(innerRight);
      outerLeft = first(outerLeft); outerRight = last(outerRight);
      ancestor[outerRight] = v;
      const push = place[innerLeft] + sumInnerLeft - place[innerRight] - sumInnerRight + gap(innerLeft, innerRight);
      if (push > 0) {
        const from = parent[ancestor[innerLeft]] === parent[v] ? ancestor[innerLeft] : fallback;
        move(from, v, push);
        sumInnerRight += push; sumOuterRight += push;
      }
      sumInnerLeft += mod[innerLeft]; sumInnerRight += mod[innerRight];
      sumOuterLeft += mod[outerLeft]; sumOuterRight += mod[outerRight];
    }
    if (last(innerLeft) >= 0 && last(outerRight) < 0) {
      thread[outerRight] = last(innerLeft);
      mod[outerRight] += sumInnerLeft - sumOuterRight;
    }
    if (first(innerRight) >= 0 && first(outerLeft) < 0) {
      thread[outerLeft] = first(innerRight);
      mod[outerLeft] += sumInnerRight - sumOuterLeft;
      return v;
    }
    return fallback;
  }

  function move(from, to, push) {
    const between = rank[to] - rank[from];
    change[to] -= push / between; change[from] += push / between;
    shift[to] += push; place[to] += push; mod[to] += push;
  }

  function spread(v) {
    let moved = 0, changed = 0;
    for (let i = children[v].length - 1; i >= 0; i--) {
      const w = children[v][i];
      place[w] += moved; mod[w] += moved;
      changed += change[w]; moved += shift[w] + changed;
    }
  }

  settle(0);
  const sums = numbers();
  let lowest = 0;
  for (let v = 0; v < count; v++) { // parents come before their children
    if (parent[v] >= 0) { sums[v] = sums[parent[v]] + mod[parent[v]]; place[v] += sums[v]; }
    lowest = Math.min(lowest, place[v]);
  }
  return place.map((x) => x - lowest);
}
