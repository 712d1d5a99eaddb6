// Draws the interface description from openapi.json, with a form to try each operation. No other code is loaded.
'use strict';

const element = (name, attributes, ...children) => {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
};

const typeOf = (schema) => {
  if (!schema) return '';
  if (schema.$ref) return schema.$ref.split('/').pop();
  const type = Array.isArray(schema.type) ? schema.type.filter((one) => one !== 'null').join(' or ') : schema.type;
  return type === 'array' ? `list of ${typeOf(schema.items)}` : type || '';
};

const show = async (answer, output) => {
  const kind = answer.headers.get('content-type') || '';
  let text;
  if (kind.includes('json')) {
    text = JSON.stringify(await answer.json(), null, 2);
  } else if (kind.startsWith('text/')) {
    text = await answer.text();
  } else {
    text = `${(await answer.arrayBuffer()).byteLength} bytes of ${kind}`;
  }
  const most = 20000;
  const cut = text.length > most ? `${text.slice(0, most)}\n… ${text.length - most} more characters` : text;
  output.textContent = `${answer.status} ${answer.statusText}\n${cut}`;
};

const field = (parameter) => {
  const schema = parameter.schema || {};
  const example = parameter.example ?? schema.example;
  const input = element('input', {
    name: parameter.name,
    value: parameter.in === 'path' ? example ?? '' : '',
    placeholder: example === undefined ? typeOf(schema) : String(example),
    required: Boolean(parameter.required),
  });
  const words = element('span', { className: 'quiet', textContent: parameter.description || '' });
  return element('label', {}, element('code', { textContent: parameter.name }), input, words);
};

const operation = (path, method, about) => {
  const parameters = about.parameters || [];
  const output = element('pre', { hidden: true });
  const form = element('form', {}, element('p', { textContent: about.description || '' }), ...parameters.map(field));
  let body = null;
  if (about.requestBody) {
    body = element('textarea', {
      ariaLabel: 'Body',
      value: '{"query": "SELECT instrument, count(*) AS trades FROM trades GROUP BY instrument", "format": "json", "limit": 100}',
    });
    form.append(body);
  }
  form.append(element('button', { type: 'submit', textContent: 'Try it' }), output);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const given = new FormData(form);
    let address = path;
    const query = new URLSearchParams();
    for (const parameter of parameters) {
      const value = String(given.get(parameter.name) ?? '').trim();
      if (parameter.in === 'path') {
        address = address.replace(`{${parameter.name}}`, encodeURIComponent(value));
      } else if (value !== '') {
        query.set(parameter.name, value);
      }
    }
    const asked = query.size > 0 ? `${address}?${query}` : address;
    output.hidden = false;
    output.textContent = `${method.toUpperCase()} ${asked} …`;
    const options = { method: method.toUpperCase() };
    if (body !== null) {
      options.body = body.value;
      options.headers = { 'content-type': body.value.trim().startsWith('{') ? 'application/json' : 'text/plain' };
    }
    try {
      await show(await fetch(asked, options), output);
    } catch (error) {
      output.textContent = String(error);
    }
  });
  const name = element('span', { className: `method ${method}`, textContent: method.toUpperCase() });
  const words = element('span', { textContent: about.summary || '' });
  return element('details', {}, element('summary', {}, name, ' ', element('code', { textContent: path }), ' ', words), form);
};

const draw = async () => {
  const intro = document.getElementById('intro');
  const answer = await fetch('/api/v1/openapi.json');
  const description = await answer.json();
  intro.textContent = description.info.description;
  const place = document.getElementById('operations');
  for (const tag of description.tags || []) {
    place.append(element('h2', { textContent: tag.name }), element('p', { className: 'quiet', textContent: tag.description }));
    for (const [path, methods] of Object.entries(description.paths)) {
      for (const [method, about] of Object.entries(methods)) {
        if ((about.tags || []).includes(tag.name)) {
          place.append(operation(path, method, about));
        }
      }
    }
  }
};

draw().catch((error) => {
  document.getElementById('intro').textContent = `The description could not be loaded: ${error}`;
});
