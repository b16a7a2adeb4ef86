'use strict';
// Steps of the diagram: what has the focus, or the pointer, is explained below it. Arrow keys go from step to step.
const steps = Array.from(document.querySelectorAll('svg.chart .step'));
const detail = document.getElementById('detail');

function explain(step) {
  steps.forEach((other) => other.classList.toggle('here', other === step));
  const label = step.getAttribute('aria-label');
  const lines = ['event ' + step.id.slice(1) + ': ' + step.dataset.event];
  if (label !== step.dataset.event) lines.unshift(label);
  if (step.dataset.stack) lines.push(step.dataset.stack.replace(/^/gm, '    '));
  detail.textContent = lines.join('\n');
}

function go(index) {
  const step = steps[Math.max(0, Math.min(steps.length - 1, index))];
  if (!step) return;
  step.focus({ preventScroll: true });
  step.scrollIntoView({ block: 'nearest', inline: 'center' });
}

steps.forEach((step, index) => {
  step.addEventListener('mouseenter', () => explain(step));
  step.addEventListener('click', () => go(index));
  step.addEventListener('focus', () => explain(step));
  step.addEventListener('keydown', (event) => {
    const to = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: steps.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go(to);
  });
});

document.querySelectorAll('a[data-step]').forEach((link) => link.addEventListener('click', (event) => {
  const index = steps.findIndex((step) => step.id === link.dataset.step);
  if (index < 0) return;
  event.preventDefault();
  go(index);
}));

const more = document.getElementById('more');
if (more) more.addEventListener('click', () => {
  const isAll = document.querySelector('ol.story').classList.toggle('all');
  more.textContent = isAll ? 'only the steps that matter' : more.dataset.all;
  more.setAttribute('aria-expanded', isAll);
});

// Begin where it goes wrong.
const crash = document.querySelector('svg.chart .crash line');
const scroller = document.querySelector('.scroll');
const names = document.querySelector('.scroll svg.chart .names');
// The names of the lanes stay in view.
if (scroller) scroller.addEventListener('scroll', () => names.setAttribute('transform', `translate(${scroller.scrollLeft} 0)`));
if (crash && scroller) scroller.scrollLeft = crash.x1.baseVal.value - scroller.clientWidth * 0.7;
