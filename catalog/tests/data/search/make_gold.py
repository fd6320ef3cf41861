"""Writes gold.tsv: what a person types, and the records that should be among the first ten.

Nothing here asks the search engine. A record belongs to a query if one of its titles, in small letters and with ё as е, has every
pattern of the query's rule (`&` between patterns). The queries were written by what people look for on a data portal and how
they write it; the rules say in plain words of the titles what that is.

    python3 catalog/tests/data/search/make_gold.py
"""
import pathlib
import re

HERE = pathlib.Path(__file__).parent

# kind, then lines of `query = pattern & pattern`.
QUERIES = {
    "Russian": r"""
школы = \bшкол(а|ы|е|у|ой|ам|ах|ами)?\b
школа = \bшкол(а|ы|е|у|ой|ам|ах|ами)?\b
АПТЕКИ = \bаптек
больница = \bбольниц
поликлиники = \bполиклиник
родильный дом = родильн & дом
детские сады = детск\w+ сад
детский дом = детск\w+ дом
библиотека = \bбиблиотек
музей = \bмузе
театры = \bтеатр
гостиницы = \bгостиниц
санаторий = \bсанатори
дороги = \bдорог
ремонт дорог = \bремонт & \bдорог
водоснабжение = \bводоснабжени
газоснабжение = \bгазоснабжени
вывоз мусора = вывоз & мусор
жилье = \bжиль[ея]\b
строительство жилых домов = строительств & жил & дом
свободные земельные участки = свободн & земельн & участк
земельный участок = земельн & участк
приватизация = \bприватизаци
лицензии на недропользование = лиценз & недропользовани
месторождения = \bместорождени
микрокредит = \bмикрокредит
безработные = \bбезработн
ярмарка вакансий = ярмар & ваканс
вакансии учителей = вакан & учител
спортивные объекты = спортивн & объект
спортивная школа = спортивн & школ
фонтаны = \bфонтан
туристский маршрут = туристск & маршрут
аэропорт = \bаэропорт
автовокзал = \bавтовокзал
железнодорожный вокзал = железнодорожн & вокзал
автобусные маршруты = автобусн & маршрут
политические партии = политическ & парти
религиозные объединения = религиозн & объединени
памятники истории и культуры = памятник & истори & культур
молодежная организация = молодежн & организаци
дом престарелых = \bдом & престарелых
дети-сироты = \bдет & сирот
интернет в школах = интернет & школ
супермаркет = \bсупермаркет
пешеходный переход = пешеходн & переход
избиратели = \bизбирател
бродячие собаки = бродяч & собак
водохранилище = \bводохранилищ
гидроузел = \bгидроуз
тарифы = \bтариф
социальная помощь = социальн & помощ
жилищная помощь = жилищн & помощ
инвестиционный проект = инвестиционн & проект
колледжи = \bколледж
высшее учебное заведение = высш & учебн & заведени
крупный рогатый скот = крупн & рогат & скот
растительное масло = растительн & масл
камеры видеофиксации = камер & фиксаци
учёт посещаемости детей = учет & посещаемост & дет
цирк = \bцирк
школы Туркестанская область = \bшкол(а|ы)?\b & туркестанск
больницы в Туркестанской области = \bбольниц & туркестанск
приватизация Северо-Казахстанская область = приватизаци & северо-казахстанск
молодежные организации Алматы = молодежн & организаци & \bалматы\b
субсидии животноводство = субсиди & животноводств
очередь на жилье = \bочередн & жиль
земли лесного фонда = земл & лесн & фонд
""",
    "Russian with Latin look-alikes": r"""
шкoлa = \bшкол(а|ы|е|у|ой|ам|ах|ами)?\b
Aптeки = \bаптек
мyзeи = \bмузе
aвтoпapки = \bавтопарк
вoдocнaбжeниe = \bводоснабжени
""",
    "Russian in Latin letters": r"""
shkola = \bшкол(а|ы|е|у|ой|ам|ах|ами)?\b
shkoly = \bшкол(а|ы|е|у|ой|ам|ах|ами)?\b
bolnitsy = \bбольниц
biblioteka = \bбиблиотек
apteki = \bаптек
detskiy sad = детск\w+ сад
detskij dom = детск\w+ дом
poliklinika = \bполиклиник
muzei = \bмузе
aeroport = \bаэропорт
vodosnabzhenie = \bводоснабжени
vodosnabzheniye = \bводоснабжени
musor = \bмусор
zemelnye uchastki = земельн & участк
privatizatsiya = \bприватизаци
privatizacija = \bприватизаци
stadion = \bстадион
teatr = \bтеатр
gostinitsa = \bгостиниц
yarmarka vakansiy = ярмар & ваканс
fontany = \bфонтан
mestorozhdeniya = \bместорождени
sotsialnaya pomoshch = социальн & помощ
molodezhnye organizatsii = молодежн & организаци
remont dorog = \bремонт & \bдорог
""",
    "beginning of a word": r"""
библ = \bбибл
апте = \bапте
водосн = \bводосн
ярмар = \bярмар
спорт = \bспорт
избират = \bизбират
свободные земельн = свободн & земельн
shko = \bшко
biblio = \bбиблио
Қызы = \bқызы|\bкызы
kosta = \bкоста|\bқоста
Öske = \bөске
""",
    "one typing error": r"""
библеотека = \bбиблиотек
поликлинка = \bполиклиник
бальницы = \bбольниц
бльницы = \bбольниц
музий = \bмузе
преватизация = \bприватизаци
месторождние = \bместорождени
маслихт = \bмаслихат
саноторий = \bсанатори
коледж = \bколледж
тетары = \bтеатр
аэрапорт = \bаэропорт
Кызылрда = \bқызылорда\b|\bкызылорда\b
Костонай = \bқостанай\b|\bкостанай\b
Павладар = \bпавлодар\b
Екібастуұз = \bекібастұз\b
biblioteqa = \bбиблиотек
Karagnda = \bкараганда\b
""",
    "phrase": r"""
"земельного фонда" = земельного фонда
"ремонта дорог" = ремонта дорог
"социальной помощи" = социальной помощи
"дома культуры" = дома культуры
"Усть-Каменогорск" = усть-каменогорск
"детских домов" = детских домов
""",
    "Kazakh": r"""
Қызылорда = \bқызылорда\b
Қызылорда облысы = \bқызылорда облысы
Қостанай = \bқостанай\b
Ақтөбе = \bақтөбе\b
Өскемен = \bөскемен\b
Жаңаөзен = \bжаңаөзен\b
Маңғыстау облысы = \bмаңғыстау облысы
Шығыс Қазақстан = шығыс қазақстан
Солтүстік Қазақстан = солтүстік қазақстан
Түркістан = \bтүркістан\b
Ұлытау = \bұлытау\b
Үржар ауданы = \bүржар\b
Жәнібек = \bжәнібек\b
Ғабит Мүсірепов = ғабит мүсірепов
Бұқар жырау = бұқар жырау
Әйтеке би ауданы = әйтеке би
Мұғалжар = \bмұғалжар\b
Арал ауданы = \bарал ауданы
Қостанайдың = \bқостанай\b
Қызылордада = \bқызылорда\b
Маңғыстауда = \bмаңғыстау\b
Түркістанның = \bтүркістан\b
Павлодарға = \bпавлодар\b
Атыраудан = \bатырау\b
мектепке дейінгі ұйымдар = мектепке & дейінгі & ұйым
мектеп = \bмектеп
ұйымдардың тізбесі = ұйым & тізбе
жастардың жобалары = жастар & жоба
білімнің = \bбілім
облыстары = \bоблысы\b
""",
    "Kazakh with Russian letters": r"""
Кызылорда = \bқызылорда\b|\bкызылорда\b
Оскемен = \bөскемен\b
Жанаозен = \bжаңаөзен\b|\bжанаозен\b
Мангыстау облысы = \bмаңғыстау облысы
Актобе = \bақтөбе\b|\bактобе\b
Улытау = \bұлытау\b
Кызылжар = \bқызылжар\b
""",
    "damaged KZ-1048": r"""
Ќызылорда = \bқызылорда\b
Ґскемен = \bөскемен\b
Жаѕаґзен = \bжаңаөзен\b
Їржар = \bүржар\b
Мўєалжар = \bмұғалжар\b
Јйтеке би = әйтеке би
Тїркістан облысы = түркістан облысы
""",
    "Kazakh in the Latin of 2021": r"""
Qyzylorda = \bқызылорда\b
Qostanai oblysy = \bқостанай облысы
Aqtöbe = \bақтөбе\b
Öskemen = \bөскемен\b
Jañaözen = \bжаңаөзен\b
Mañğystau audany = \bмаңғыстау ауданы
Türkıstan = \bтүркістан\b
Ūlytau = \bұлытау\b
Ürjar = \bүржар\b
Jänıbek = \bжәнібек\b
mektepke deiıngı = мектепке & дейінгі
""",
    "Kazakh in the Latin of 2018": r"""
Qostanaı = \bқостанай\b
Aqtóbe = \bақтөбе\b
Óskemen = \bөскемен\b
Jańaózen = \bжаңаөзен\b
Mańǵystaý = \bмаңғыстау\b
Túrkistan = \bтүркістан\b
Úrjar = \bүржар\b
Shyǵys Qazaqstan = шығыс қазақстан
""",
    "English and BGN": r"""
Kyzylorda = \bқызылорда\b|\bкызылорда\b
Kostanay = \bқостанай\b|\bкостанай\b
Aktobe = \bақтөбе\b|\bактобе\b
Zhanaozen = \bжаңаөзен\b|\bжанаозен\b
Mangystau = \bмаңғыстау\b
Urzhar = \bүржар\b
Shymkent = \bшымкент\b
Astana = \bастана\b
Pavlodar = \bпавлодар\b
Atyrau = \bатырау\b
Taraz = \bтараз\b
Ekibastuz = \bэкибастуз\b
Ust-Kamenogorsk = усть-каменогорск
Petropavlovsk = \bпетропавловск\b
Karaganda = \bкараганда\b
Zhambyl = \bжамбыл\b
Semey = \bсемей\b
Taldykorgan = \bталдыкорган\b
Temirtau = \bтемиртау\b
Zhezkazgan = \bжезказган\b
Balkhash = \bбалхаш\b
Shakhtinsk = \bшахтинск\b
Kokshetau = \bкокшетау\b
Baikonur = \bбайконыр\b
iQala = iqala
Face ID = face id
QR codes = qr-код
Ashyq = ashyq
""",
}


def records():
    for name in ("titles.tsv", "kato.tsv"):
        for line in (HERE / name).read_text().splitlines():
            record, *titles = line.split("\t")
            yield record, [title.lower().replace("ё", "е") for title in titles]


def main():
    all_records = list(records())
    lines = []
    for kind, block in QUERIES.items():
        for line in block.strip().splitlines():
            query, rule = line.split(" = ")
            patterns = [re.compile(pattern) for pattern in rule.split(" & ")]
            belongs = lambda title: all(pattern.search(title) for pattern in patterns)
            expected = [record for record, titles in all_records if any(map(belongs, titles))]
            if not expected:
                raise SystemExit(f"nothing belongs to {query!r}")
            lines.append("\t".join([kind, query, " ".join(expected)]))
    (HERE / "gold.tsv").write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} queries over {len(all_records)} records")


if __name__ == "__main__":
    main()
