// Where vehicles stand: queues before stop lines, and lanes coloured by how full they are.

const STOPPED_DM = 1;
const STANDING_M = 7.5;

/** Pixels a metre, below which lanes with queues are coloured as a whole. */
export const NEAR = 1.2;

/** From where to where before its stop line each lane's queue stands, metres, and how many do. */
export function queuesOf(lanes, trace, second) {
  const frame = trace.frames[Math.min(second, trace.last)];
  return lanes.map((lane) => {
    let reach = 0;
    let begin = Infinity;
    let vehicles = 0;
    for (let offset = 0; offset < frame.length; offset += 5) {
      if (frame[offset + 4] >= STOPPED_DM) continue;
      const back = distanceBack(lane, frame[offset + 1] / 10, frame[offset + 2] / 10);
      if (back === null) continue;
      vehicles += 1;
      begin = Math.min(begin, back);
      reach = Math.max(reach, back + trace.lengths_dm[frame[offset]] / 10);
    }
    return { lane, begin, reach, vehicles };
  });
}

/** The lanes on which vehicles stand in a second of an episode, and how many do. */
export function loadsAt(trace, second) {
  const queue = trace.queues[second] ?? [];
  const found = [];
  for (let i = 0; i < queue.length; i += 2) found.push([trace.lanes[queue[i]], queue[i + 1]]);
  return found;
}

/** How strongly a lane is coloured: from a single vehicle to one that is full. */
export function loadShare(vehicles, points) {
  let length = 0;
  for (let i = 2; i < points.length; i += 2)
    length += Math.hypot(points[i] - points[i - 2], points[i + 1] - points[i - 1]);
  return 0.25 + 0.75 * Math.min(1, (vehicles * STANDING_M) / Math.max(length, STANDING_M));
}

/** How far before a lane's end a point on it lies; null for one beside it. */
function distanceBack(lane, x, y) {
  const { points, width_m: width } = lane;
  let beyond = 0;
  for (let i = points.length - 4; i >= 0; i -= 2) {
    const dx = points[i + 2] - points[i];
    const dy = points[i + 3] - points[i + 1];
    const length = Math.hypot(dx, dy) || 1e-9;
    const along = ((x - points[i]) * dx + (y - points[i + 1]) * dy) / length;
    const aside = Math.abs((x - points[i]) * dy - (y - points[i + 1]) * dx) / length;
    if (along >= -0.5 && along <= length + 0.5 && aside <= width / 2)
      return beyond + Math.max(0, length - along);
    beyond += length;
  }
  return null;
}

/** The part of a lane between two distances from its end, as points. */
export function partOf(points, begin, reach) {
  const rest = tailOf(points, reach);
  let left = begin;
  while (left > 0 && rest.length > 2) {
    const [x0, y0, x1, y1] = rest.slice(-4);
    const length = Math.hypot(x1 - x0, y1 - y0) || 1e-9;
    rest.length -= 2;
    if (left < length)
      rest.push(x1 + ((x0 - x1) * left) / length, y1 + ((y0 - y1) * left) / length);
    left -= length;
  }
  return rest;
}

/** The last so many metres of a lane, as points. */
function tailOf(points, metres) {
  const tail = points.slice(-2);
  let left = metres;
  for (let i = points.length - 4; i >= 0 && left > 0; i -= 2) {
    const dx = points[i] - points[i + 2];
    const dy = points[i + 1] - points[i + 3];
    const length = Math.hypot(dx, dy) || 1e-9;
    const share = Math.min(1, left / length);
    tail.unshift(points[i + 2] + dx * share, points[i + 3] + dy * share);
    left -= length;
  }
  return tail;
}
