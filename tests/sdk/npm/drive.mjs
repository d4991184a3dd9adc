// Runs one operation of one client in this process, and says how it ended as plain data; `../python/drive.py` is its twin.

/** Returns `{ value, heard }` or `{ error, heard }`, where `heard` has what a stream had said by then. */
export async function drive(ops, op, call) {
  const heard = [];
  try {
    return { value: await ops[op](call, heard), heard };
  } catch (error) {
    return { error: described(error), heard };
  }
}

function described(error) {
  const classes = [];
  for (let at = Object.getPrototypeOf(error); at !== null; at = Object.getPrototypeOf(at)) classes.push(at.constructor.name);
  const header = (name) => error.headers?.get?.(name) ?? error.responseHeaders?.[name] ?? null;
  return {
    classes,
    status: error.status ?? error.statusCode ?? null,
    code: error.code ?? null,
    param: error.param ?? null,
    type: error.type ?? null,
    message: error.message ?? JSON.stringify(error),
    retry_after: header('retry-after'),
  };
}
