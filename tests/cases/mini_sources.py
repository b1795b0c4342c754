"""Synthetic miniImageNet-like sources with a small Spec, each with one real-life defect."""
import sys, os, io, json, csv, pickle, zipfile, traceback, shutil
sys.path.insert(0, os.getcwd())
import numpy as np
from pathlib import Path
from PIL import Image
import tasks.preparation.download as dl; dl.TRIES = 1
from tasks.preparation import miniimagenet_spec as mf
from tasks.preparation.archives import DataError
from tasks.preparation.miniimagenet import build
spec = mf.Spec({'train': ['n01', 'n02'], 'val': ['n03', 'n04'], 'test': ['n05', 'n06']}, per_class=4, size=84)
rng = np.random.default_rng(0)
def jpg(fmt='JPEG', mode='RGB', **k):
    b = io.BytesIO(); im = Image.fromarray(rng.integers(0,255,(84,84,3),dtype=np.uint8)).convert(mode); im.save(b, fmt, **k); return b.getvalue()
def lists(root, end='\n', bom=False, sep=',', header='filename,label', names=None):
    for part, cl in spec.classes.items():
        t = header.replace(',',sep)+end + ''.join(f'{c}{k:08d}.jpg{sep}{c}{end}' for c in cl for k in range(1,5))
        (root/(names or {}).get(part, f'{part}.csv')).write_bytes((b'\xef\xbb\xbf' if bom else b'')+t.encode())
def folders(root, kind='folder'):
    for part, cl in spec.classes.items():
        for c in cl:
            files = {f'{c}{k:08d}.jpg': jpg() for k in range(1,5)}
            if kind == 'folder':
                d = root/part/c; d.mkdir(parents=True)
                for n, b in files.items(): (d/n).write_bytes(b)
            else:
                (root/part).mkdir(exist_ok=True)
                with zipfile.ZipFile(root/part/f'{c}.zip','w') as z:
                    for n,b in files.items(): z.writestr(n,b)
WANTED = sys.argv[1].split(',')
def case(name, make):
    if not any(w in name for w in WANTED): return
    root = Path(os.environ['SCRATCH'])/'mini'/name; shutil.rmtree(root, ignore_errors=True)
    d = root/'downloads'/'miniimagenet'; d.mkdir(parents=True); (root/'s').mkdir()
    make(d); os.environ['DATA_ROOT'] = str(root)
    try: r = 'works, read from ' + build(root/'s', spec).meta['source']
    except DataError as e: r = 'DataError: ' + str(e).replace('\n',' | ')[:260]
    except BaseException as e: r = 'TRACEBACK ' + repr(e)[:200]
    print(f'== {name}: {r}', flush=True)
def ds(d): lists(d); folders(d); [(d/'train'/'n01'/n).write_bytes(b'x') for n in sys_litter]
sys_litter = ['.DS_Store']
case('plain', lambda d: (lists(d), folders(d)))
case('ds_store', ds)
def l(*n):
    def f(d):
        lists(d); folders(d)
        for x in n: (d/'train'/'n01'/x).write_bytes(b'x')
    return f
case('thumbs_db', l('Thumbs.db')); case('appledouble', l('._n0100000001.jpg'))
case('subfolder', lambda d: (lists(d), folders(d), (d/'train'/'n01'/'.ipynb_checkpoints').mkdir()))
def mz(d):
    lists(d); folders(d, 'zip')
    with zipfile.ZipFile(d/'train'/'n01.zip','a') as z: z.writestr('__MACOSX/n01/._n0100000001.jpg', b'x'); z.writestr('.DS_Store', b'x')
case('macosx_zip', mz)
def ext(d):
    lists(d); folders(d)
    for p in (d).rglob('*.jpg'): p.rename(p.with_suffix('.JPEG'))
case('ext_JPEG', ext)
def images_sub(d):
    lists(d); folders(d); (d/'images').mkdir()
    for part in spec.classes:
        for c in (d/part).iterdir(): c.rename(d/'images'/c.name)
        (d/part).rmdir()
case('images_with_class_folders', images_sub)
def flat(d):
    lists(d); folders(d)
    for part in spec.classes:
        for c in (d/part).iterdir(): c.rename(d/c.name)
        (d/part).rmdir()
case('class_folders_at_root', flat)
def named(d):
    lists(d); folders(d)
    for part in spec.classes:
        (d/part).rename(d/{'train':'base','val':'validation','test':'novel'}[part])
case('validation_named', named)
case('no_lists', folders)
def pk(name, form='ravi', proto=2, val='val'):
    def f(d):
        for part, cl in spec.classes.items():
            im = rng.integers(0,255,(8,84,84,3),dtype=np.uint8)
            lab = [0]*4+[1]*4
            o = {'ravi': {'image_data': im, 'class_dict': {c: list(range(4*i,4*i+4)) for i,c in enumerate(cl)}},
                 'baseline': {'data': im, 'labels': lab, 'catname2label': {c:i for i,c in enumerate(cl)}},
                 'ravi_extra': {'image_data': im, 'class_dict': {c: list(range(4*i,4*i+4)) for i,c in enumerate(cl)}, 'extra': 1},
                 'ravi_np': {'image_data': im, 'class_dict': {c: np.arange(4*i,4*i+4) for i,c in enumerate(cl)}},
                 'float': {'image_data': im.astype(np.float32), 'class_dict': {c: list(range(4*i,4*i+4)) for i,c in enumerate(cl)}},
                 'nchw': {'image_data': im.transpose(0,3,1,2).copy(), 'class_dict': {c: list(range(4*i,4*i+4)) for i,c in enumerate(cl)}},
                 'size80': {'image_data': im[:, :80, :80].copy(), 'class_dict': {c: list(range(4*i,4*i+4)) for i,c in enumerate(cl)}}}[form]
            n = name.replace('PART', {'val': val}.get(part, part))
            (d/n).write_bytes(pickle.dumps(o, proto))
    return f
C = 'mini-imagenet-cache-PART.pkl'
case('pkl_ravi', pk(C))
case('pkl_validation_name(learn2learn)', pk(C, val='validation'))
def html(d):
    for part in spec.classes: (d/f'mini-imagenet-cache-{part}.pkl').write_bytes(b'<!DOCTYPE html><html><title>Virus scan warning</title>')
case('pkl_html', html)
